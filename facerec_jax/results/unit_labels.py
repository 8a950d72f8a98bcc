"""What people read beside the slider of an expression."""

from __future__ import annotations

import re

# Action units and descriptors of FACS (Ekman, Friesen & Hager 2002).
_UNITS = {
  "AU01": "inner brow up",
  "AU02": "outer brow up",
  "AU04": "brow down",
  "AU05": "upper lid up",
  "AU06": "cheek up",
  "AU07": "lids tight",
  "AU09": "nose wrinkled",
  "AU10": "upper lip up",
  "AU11": "nose to lip furrow",
  "AU12": "lip corner up",
  "AU13": "lip corner sharply up",
  "AU14": "dimple",
  "AU15": "lip corner down",
  "AU16": "lower lip down",
  "AU17": "chin up",
  "AU18": "lips puckered",
  "AU20": "lips stretched",
  "AU22": "lips funnelled",
  "AU23": "lips tight",
  "AU24": "lips pressed",
  "AU25": "lips apart",
  "AU26": "jaw drops",
  "AU27": "mouth wide open",
  "AU28": "lips sucked in",
  "AD29": "jaw forward",
  "AD30": "jaw aside",
  "AD34": "cheeks puffed",
  "AU38": "nostrils wide",
  "AU39": "nostrils narrow",
  "AU43": "eyes closed",
  "AU45": "blink",
  "AU46": "wink",
  "AU61": "eyes to the left",
  "AU62": "eyes to the right",
  "AU63": "eyes up",
  "AU64": "eyes down",
}
_SIDES = {"L": "left", "R": "right"}
_NAME = re.compile(r"(A[UD]\d\d)(?:_([LR]))?$")


def label(name: str) -> str:
  """A readable name of an expression, such as "lip corner up, left"."""
  match = _NAME.match(name)
  if not match or match[1] not in _UNITS:
    return name.replace("_", " ")
  side = f", {_SIDES[match[2]]}" if match[2] else ""
  return f"{_UNITS[match[1]]}{side}"
