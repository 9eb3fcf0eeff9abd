"""What ends a command: mistakes that the user can mend, the system's refusals, and signals. Each is one sentence."""

import contextlib
import errno
import os
import re
import signal
import sys
import threading

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""What ends a command in good order: Ctrl-C, and what a cluster or a closed terminal sends."""

ADVICE = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room on the disk",
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.EMFILE: "allow more open files (ulimit -n), or use fewer --threads",
    errno.ENFILE: "close other programs, or use fewer --threads",
    errno.EAGAIN: "allow more processes (ulimit -u), or use fewer --threads",
    errno.ENOMEM: "use fewer --threads",
    errno.EACCES: "choose a place where you may read and write",
    errno.EPERM: "choose a place where you may read and write",
    errno.EROFS: "choose a place where you may write",
    errno.ENOENT: "check its name",
    errno.ENOTDIR: "check its name",
    errno.EISDIR: "give the name of a file",
    errno.ELOOP: "check its name",
    errno.ENAMETOOLONG: "choose a shorter name",
}

MEMORY = "The memory is not enough: use fewer --threads, a smaller --batch-size or a smaller network."


class UserError(Exception):
    """One plain sentence for the user: what is wrong, where, and what to do."""


class Stopped(KeyboardInterrupt):
    """A signal, `signum`, has asked the command to end; Ctrl-C's KeyboardInterrupt, and its brothers."""

    def __init__(self, signum, sentence="Interrupted."):
        super().__init__(sentence)
        self.signum = signum


def attempt(function, arguments):
    """The result of a call and no error, or no result and the error: an answer to send to another process."""
    try:
        return function(*arguments), None
    except Exception as error:
        return None, error


def run_command(main):
    """Run a command's `main()` and exit: with its code, or with one sentence on stderr in place of a traceback.

    The exit code is 2 for mistakes and for what the system refuses, 128 and the signal's number for a signal (130 for
    Ctrl-C), and 141 for an output that nobody reads any more. Letters that the output's encoding lacks become "?".
    """
    sys.excepthook = sys.__excepthook__
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    with on_signals(stop):
        code = _exit_code(main)
        _forget_closed_streams()
    sys.exit(code)


def _exit_code(main):
    try:
        try:
            return main()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except UserError as error:
        return _end(f"error: {error}")
    except KeyboardInterrupt as error:
        return _end(str(error) or "Interrupted.", 128 + getattr(error, "signum", signal.SIGINT))
    except BrokenPipeError:
        return 141
    except OSError as error:
        return _end(f"error: {sentence_of(error)}")
    except MemoryError:
        return _end(f"error: {MEMORY}")
    except RecursionError:
        return _end("error: Something given to this command is nested too deeply: look at its files.")
    except UnicodeEncodeError as error:
        return _end(f"error: A text cannot be written ({error.reason}): set PYTHONIOENCODING=utf-8.")


def _end(sentence, code=2):
    with contextlib.suppress(OSError):
        print("".join(c if c.isprintable() else " " for c in sentence), file=sys.stderr)
    return code


def reason_of(error):
    """What an error says, on one line and not too long; its kind where it says nothing."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def sentence_of(error, path=None):
    """An OSError in one sentence, with its path, its reason and what to do."""
    path = path or error.filename or "The output"
    advice = ADVICE.get(error.errno, "see that it is there and may be used")
    return f"{os.fsdecode(path)} cannot be used ({error.strerror or error}): {advice}."


def _open_closed_streams():
    """Point standard streams that were closed at nothing: who prints need not ask, and no file takes their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _forget_closed_streams():
    """Send what could not be written nowhere, or the interpreter would complain at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def stop(signum, frame):
    """The handler of a signal that raises `Stopped`."""
    raise Stopped(signum)


@contextlib.contextmanager
def on_signals(handle):
    """Call `handle(signum, frame)` at any of `SIGNALS` while this lasts; a hangup that is ignored (nohup) stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {signum: signal.getsignal(signum) for signum in SIGNALS}
    previous = {s: h for s, h in previous.items() if h is not None and (s == signal.SIGINT or h != signal.SIG_IGN)}
    for signum in previous:
        signal.signal(signum, handle)
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def while_loading():
    """For `python -m cormorant_np.COMMAND`, whose modules take a second: end quietly at Ctrl-C, in one sentence if one
    of them cannot be loaded, as for want of memory. `run_command` takes over from there."""
    module = re.search(r"\0-[a-zA-Z]*?m\0?(\w+)", "\0".join(sys.orig_argv))
    if sys.argv[:1] == ["-m"] and module and module[1] == "cormorant_np":
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
        sys.excepthook = _cannot_load


def _cannot_load(kind, error, trace):
    if not issubclass(kind, ImportError | MemoryError | OSError):
        sys.__excepthook__(kind, error, trace)
        return
    reason = reason_of(error)
    _end(f"error: The program cannot be loaded ({reason}): see that requirements.txt is installed and memory is free.")
    os._exit(2)
