"""Texts of flags become requests, or one clear line."""

import pathlib

import pytest

from facerec_jax import edit_requests

From, Light = edit_requests.From, edit_requests.Light
PHOTO = pathlib.Path("a:b/c.jpg")


@pytest.mark.parametrize(
  "flag, text, wanted",
  [
    ("expression", "from:a:b/c.jpg", From(PHOTO)),
    ("expression", "happiness", edit_requests.Emotion("happiness")),
    ("expression", "anger:0.25", edit_requests.Emotion("anger", 0.25)),
    ("light", "from:a:b/c.jpg", From(PHOTO)),
    ("light", "rembrandt", Light(preset="rembrandt")),
    ("light", "-60,20", Light(-60.0, 20.0)),
    ("light", "-60,20,1.5", Light(-60.0, 20.0, 1.5)),
    ("albedo", "from:a:b/c.jpg", From(PHOTO)),
    ("albedo", "-1.5", -1.5),
    ("identity", "from:a:b/c.jpg:0.3", From(PHOTO, 0.3)),
    ("pose", "from:a:b/c.jpg", From(PHOTO)),
    ("pose", "0,-20,5", (0.0, -20.0, 5.0)),
  ],
)
def test_understood(flag, text, wanted):
  requests = edit_requests.parse(**{flag: text})
  assert getattr(requests, flag) == wanted
  assert sum(request is not None for request in requests) == 1


@pytest.mark.parametrize(
  "flag, text, message",
  [
    ("expression", "joy", "want from:PHOTO, or one of anger, disgust, "),
    ("expression", "happiness:2", "the intensity is 2, want 0 to 1"),
    ("expression", "happiness:x", "want an intensity from 0 to 1"),
    ("expression", "from:", "no file after from:"),
    ("light", "noon", "want from:PHOTO, azimuth,elevation"),
    ("light", "10,20,0", "the strength is 0, want more than 0"),
    ("light", "nan,20", "want from:PHOTO, azimuth,elevation"),
    ("albedo", "dark", "want from:PHOTO, or a skin tone"),
    ("identity", "from:c.jpg", "want from:PHOTO:share"),
    ("identity", "from:c.jpg:1.5", "the share is 1.5, want 0 to 1"),
    ("identity", "from:c.jpg:half", "want a share from 0 to 1 at the end"),
    ("pose", "0,20", "want from:PHOTO, or pitch,yaw,roll in degrees"),
    ("pose", "0,120,0", "angles beyond 90 degrees show no face"),
  ],
)
def test_refused(flag, text, message):
  with pytest.raises(edit_requests.RequestError) as error:
    edit_requests.parse(**{flag: text})
  assert str(error.value).startswith(f"--{flag}={text}: {message}")
  assert "\n" not in str(error.value)


def test_nothing_to_edit():
  with pytest.raises(edit_requests.RequestError, match="^nothing to edit"):
    edit_requests.parse()
