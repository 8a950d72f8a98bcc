"""Stopping a run from outside: signals, agreed upon by all processes."""

from __future__ import annotations

from collections.abc import Callable
import os
import signal
import sys
import threading

from absl import logging

from facerec_jax.training import parallel

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Device calls between an agreement of all processes and its reading: long
# enough that nobody waits for it, short enough for the patience of a scheduler.
_CALLS_TO_AGREE = 8


class StopRequest:
  """Notes the first SIGTERM or SIGINT; the second ends the process at once.

  A context manager: the handlers that were there return at its end. A thread
  of its own listens, since Python's handlers wait for a compilation to end.
  Outside of the main thread, where no handler can be set, nothing is noted.
  """

  def __init__(self):
    self._requested = threading.Event()
    self._handlers = {}

  @property
  def requested(self) -> bool:
    """Whether a signal came to this process."""
    return self._requested.is_set()

  def __enter__(self):
    if threading.current_thread() is not threading.main_thread():
      return self
    self._pipe = os.pipe()
    os.set_blocking(self._pipe[1], False)
    self._old_fd = signal.set_wakeup_fd(
      self._pipe[1], warn_on_full_buffer=False
    )
    for number in SIGNALS:
      self._handlers[number] = signal.signal(number, lambda *_: None)
    self._listener = threading.Thread(target=self._listen, daemon=True)
    self._listener.start()
    return self

  def __exit__(self, *_):
    if not self._handlers:
      return
    for number, handler in self._handlers.items():
      signal.signal(number, handler)
    signal.set_wakeup_fd(self._old_fd)
    os.close(self._pipe[1])
    self._listener.join()
    os.close(self._pipe[0])

  def _listen(self):
    while numbers := os.read(self._pipe[0], 16):
      for number in set(numbers) & set(SIGNALS):
        name = signal.Signals(number).name
        if self.requested:
          print(f"{name} again: stopped at once", file=sys.stderr, flush=True)
          os._exit(128 + number)
        self._requested.set()
        logging.info("%s: saving, then stopping; again: stop at once", name)


def agreement(request: StopRequest) -> Callable[[], bool]:
  """A question asked after each device call: do all processes stop now?

  A process that stopped alone would leave the others waiting for its
  gradients. Each call of the answer must be made by all of them.

  Args:
    request: of this process.

  Returns:
    () -> whether to stop; the same answer for all processes.
  """
  if parallel.num_processes() == 1:
    return lambda: request.requested
  calls, pending = 0, None

  def stop():
    nonlocal calls, pending
    calls += 1
    if calls % _CALLS_TO_AGREE:
      return False
    answer = pending is not None and pending()
    pending = parallel.any_process(request.requested)
    return answer

  return stop
