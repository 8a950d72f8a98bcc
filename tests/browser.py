"""Headless Chromium for tests, spoken to through its debugging pipe."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import time

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
  *("--headless", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader"),
  *("--enable-unsafe-swiftshader", "--no-first-run", "--hide-scrollbars"),
  *("--disable-background-networking", "--remote-debugging-pipe"),
  # Pages must not need a network.
  "--host-resolver-rules=MAP * ~NOTFOUND",
)


def find():
  """Path of a Chromium, or None."""
  return next(filter(None, map(shutil.which, _NAMES)), None)


class Browser:
  """One page of a browser; a context manager.

  Attributes:
    problems: messages of exceptions in the page.
  """

  def __init__(self, program, folder, *, width=900, height=600, dark=False):
    self._ids = itertools.count(1)
    self._buffer = b""
    self.problems = []
    commands_read, self._commands = os.pipe()
    self._answers, answers_write = os.pipe()

    # Chromium reads from 3 and writes to 4.
    attach = (
      "import os, sys; "
      f"ends = os.dup({commands_read}), os.dup({answers_write}); "
      "os.dup2(ends[0], 3); os.dup2(ends[1], 4); "
      "os.set_inheritable(3, True); os.set_inheritable(4, True); "
      "os.execv(sys.argv[1], sys.argv[1:])"
    )
    self._process = subprocess.Popen(
      [
        *(sys.executable, "-c", attach, program, *_FLAGS),
        *(f"--user-data-dir={folder}", "about:blank"),
      ],
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
      pass_fds=(commands_read, answers_write),
    )
    os.close(commands_read)
    os.close(answers_write)
    self._session = None
    (target, *_) = [
      info
      for info in self._call("Target.getTargets")["targetInfos"]
      if info["type"] == "page"
    ]
    self._session = self._call(
      "Target.attachToTarget", targetId=target["targetId"], flatten=True
    )["sessionId"]
    self._call("Runtime.enable")
    self._call("Page.enable")
    size = {"width": width, "height": height, "deviceScaleFactor": 1}
    self._call("Emulation.setDeviceMetricsOverride", mobile=False, **size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else ""}
    self._call("Emulation.setEmulatedMedia", features=[scheme])

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._session = None
    self._send("Browser.close")
    try:
      self._process.wait(20)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()
    os.close(self._commands)
    os.close(self._answers)

  def open(self, path, fragment="", seconds=60):
    """Opens a file and waits for the page to be ready or failed."""
    self._call("Page.navigate", url="about:blank")
    self._call("Page.navigate", url=f"file://{path}{fragment}")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
      state = self.run("document.documentElement?.dataset.state || ''")
      if state:
        return state
      time.sleep(0.1)
    raise TimeoutError(f"{path} was not ready in {seconds} s")

  def run(self, script):
    """The value of a JavaScript expression, JSON; promises are awaited."""
    answer = self._call(
      "Runtime.evaluate",
      expression=script,
      returnByValue=True,
      awaitPromise=True,
    )
    assert "exceptionDetails" not in answer, answer["exceptionDetails"]
    return answer["result"].get("value")

  def drag(self, start, end):
    """Presses the mouse at one place and releases it at another."""
    for kind, (x, y) in (
      ("mousePressed", start),
      ("mouseMoved", end),
      ("mouseReleased", end),
    ):
      self._call(
        "Input.dispatchMouseEvent",
        type=kind,
        x=x,
        y=y,
        button="left",
        buttons=1,
        clickCount=1,
      )

  def screenshot(self):
    """The page as PNG bytes, after the next frame."""
    self.run(
      "new Promise(r => requestAnimationFrame(() => "
      "requestAnimationFrame(() => r(1))))"
    )
    return base64.b64decode(self._call("Page.captureScreenshot")["data"])

  def _send(self, method, **params):
    number = next(self._ids)
    message = {"id": number, "method": method, "params": params}
    if self._session:
      message["sessionId"] = self._session
    os.write(self._commands, json.dumps(message).encode() + b"\0")
    return number

  def _call(self, method, **params):
    number = self._send(method, **params)
    while True:
      answer = self._receive()
      if answer.get("method") == "Runtime.exceptionThrown":
        self.problems.append(answer["params"]["exceptionDetails"])
      if answer.get("id") == number:
        assert "error" not in answer, answer["error"]
        return answer["result"]

  def _receive(self):
    while b"\0" not in self._buffer:
      data = os.read(self._answers, 1 << 16)
      assert data, "the browser closed"
      self._buffer += data
    message, _, self._buffer = self._buffer.partition(b"\0")
    return json.loads(message)
