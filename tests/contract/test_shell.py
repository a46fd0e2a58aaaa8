"""What an agent may rely on in its shell, and what it may do to it without holding the episode up."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny_task import TASK_TOML

import mlgym_lite
from mlgym_lite import Episode, Step
from mlgym_lite.config.run_settings import IsolationChoice, RunSettings

OpenEpisode = Callable[..., Episode]
QUICK = TASK_TOML.replace("command_timeout_sec = 30", "command_timeout_sec = 1").replace("max_steps = 20", "max_steps = 100")
"""A task whose commands may take one second."""
GIVE_UP_SECONDS = 10.0
"""More than a time-out of one second and everything that follows it may take."""

OWN_SLEEPS = "for p in $(pgrep sleep); do cat /proc/$p/environ > /dev/null 2>&1 && ps -o args= -p $p; done; true"
"""Lists the sandbox's own sleeping programs, also where the host's processes are seen."""


@pytest.fixture
def open_episode(
    mechanism: IsolationChoice, make_task: Callable[..., Path], environment: dict[str, str], tmp_path: Path
) -> Iterator[OpenEpisode]:
    """Opens episodes of a task file's text and closes them after the test."""
    with contextlib.ExitStack() as stack:

        def open_one(toml: str = TASK_TOML, **options: object) -> Episode:
            task = mlgym_lite.load_task(make_task(toml=toml))
            settings = RunSettings(output=tmp_path / "run", isolation=mechanism)
            return stack.enter_context(Episode(task, settings=settings, environment=environment, **options))  # type: ignore[arg-type]

        yield open_one


@pytest.fixture
def episode(open_episode: OpenEpisode) -> Episode:
    """An episode whose commands may take 30 seconds."""
    return open_episode()


@pytest.fixture
def quick(open_episode: OpenEpisode) -> Episode:
    """An episode whose commands may take one second."""
    return open_episode(QUICK)


def is_usable(episode: Episode) -> bool:
    """Whether the shell runs the next command as if nothing had been."""
    step = episode.step("echo $((20 + 1)) usable")
    return step.observation == "21 usable\n" and step.exit_status == 0


def is_renewed(step: Step) -> bool:
    """Whether the agent was told that it has a new shell."""
    return step.exit_status is None and "a new one is running" in step.observation


# What is kept


def test_state_is_kept(episode: Episode) -> None:
    """Variables, functions, options, aliases and the working directory last from one command to the next."""
    episode.step(
        "a=5; export b=6; f() { echo f$a; }; shopt -s nullglob; alias hey='echo alias'; cd $MLGYM_LITE_ROOT/tmp; umask 077"
    )
    step = episode.step("echo $a $(printenv b) ${PWD#$MLGYM_LITE_ROOT} $(umask); f; hey; echo *.nothing")
    assert step.observation == "5 6 /tmp 0077\nf5\nalias\n\n"
    assert step.working_directory == "/tmp"


def test_exit_status(episode: Episode) -> None:
    """A step tells the command's exit status, whatever it was."""
    assert [episode.step(f"(exit {status})").exit_status for status in (0, 1, 42, 255)] == [0, 1, 42, 255]
    assert episode.step("kill -9 $BASHPID & wait $!").exit_status == 137
    assert episode.step("no_such_program").exit_status == 127


def test_previous_status_is_not_shown(episode: Episode) -> None:
    """An empty command and a comment succeed."""
    assert [episode.step(action).exit_status for action in ("", "# nothing", "\n\n")] == [0, 0, 0]


def test_several_lines(episode: Episode) -> None:
    """An action of several lines with here-documents and continuations is run as one script."""
    step = episode.step("cat <<'END'\n$HOME `x` \\\nEND\nfor i in 1 \\\n2\ndo\n  echo $i\ndone")
    assert step.observation == "$HOME `x` \\\n1\n2\n"


def test_standard_input_is_empty(episode: Episode) -> None:
    """A command that reads gets the end of its input at once."""
    assert (
        episode.step('read line; echo "[$line] $?"; cat; python3 -c "import sys; print(sys.stdin.read())"').observation
        == "[] 1\n\n"
    )


def test_no_terminal(episode: Episode) -> None:
    """No program finds a terminal."""
    assert episode.step(
        "tty; [ -t 0 ] || [ -t 1 ] || [ -t 2 ] || echo none; (: < /dev/tty) 2>/dev/null || echo none"
    ).observation == ("not a tty\nnone\nnone\n")


# Time-outs


@pytest.mark.parametrize(
    "command",
    [
        "sleep 60",
        "while :; do :; done",
        "f() { while true; do sleep 3; done; }; f",
        "for i in 1 2 3; do while :; do for j in 1 2; do sleep 3; done; done; done",
        "f() { f2; }; f2() { until false; do :; done; }; f; f; f",
        "sleep 60 | sleep 60 | cat",
        "(sleep 60; sleep 60); sleep 60",
        "$(sleep 60)",
        "wait & sleep 60 & wait",
        "cat <(sleep 60)",
        "exec 9<>/dev/zero; while read -r -n1 -u 9 x; do :; done",
        "yes > /dev/null",
        "python3 -c 'while True: pass'",
        "bash -c 'while :; do sleep 3; done'",
    ],
)
def test_time_out_keeps_the_shell(quick: Episode, command: str) -> None:
    """A command that takes too long is ended, is said to have been, and leaves the shell with its variables."""
    quick.step("kept=5; cd $MLGYM_LITE_ROOT/tmp")
    started = time.monotonic()
    step = quick.step(command)
    assert time.monotonic() - started < GIVE_UP_SECONDS
    assert "longer than allowed" in step.observation
    assert not is_renewed(step)
    assert quick.step("echo $kept ${PWD#$MLGYM_LITE_ROOT}").observation == "5 /tmp\n"


@pytest.mark.parametrize(
    "command",
    [
        "python3 -c 'import signal,time; signal.signal(2,signal.SIG_IGN); print(\"before\",flush=True); time.sleep(60)'",
        "bash -c 'trap \"\" INT TERM HUP; echo before; while :; do sleep 60; done'",
        "echo before; trap '' INT; sleep 60; trap - INT",
    ],
)
def test_time_out_of_a_program_that_ignores_interrupts(quick: Episode, command: str) -> None:
    """A program that ignores the interrupt is killed; what it printed before is kept, and so is the shell."""
    quick.step("kept=5")
    step = quick.step(command)
    assert step.observation.startswith("before\n")
    assert "longer than allowed" in step.observation
    quick.step("trap - INT")
    assert quick.step("echo $kept; pgrep -s 0 sleep; pgrep -s 0 python3").observation == "5\n"


def test_time_out_of_a_loop_over_programs_that_ignore_interrupts(quick: Episode) -> None:
    """A loop over programs that ignore the interrupt ends with its time-out, and a shell answers afterwards."""
    quick.step("kept=5")
    step = quick.step("while :; do bash -c 'trap \"\" INT; sleep 0.5'; done")
    assert "longer than allowed" in step.observation
    assert is_usable(quick)


@pytest.mark.parametrize(
    "command", ["trap '' INT; while :; do :; done", "kill -STOP $$", "trap '' INT; sleep 60 & while :; do wait; done"]
)
def test_shell_that_cannot_be_interrupted_is_replaced(quick: Episode, command: str) -> None:
    """A shell that does not answer after a time-out is replaced, and the agent is told what is gone."""
    step = quick.step(command)
    assert "longer than allowed" in step.observation
    assert is_renewed(step)
    assert is_usable(quick)


def test_output_before_a_time_out_is_kept(quick: Episode) -> None:
    """Everything printed before a time-out is shown."""
    assert quick.step("echo first; printf second; sleep 60").observation.startswith("first\nsecond")


def test_time_out_while_output_does_not_stop(quick: Episode) -> None:
    """A command that prints without end is ended at its time-out too."""
    started = time.monotonic()
    step = quick.step("yes & yes & yes & yes")
    assert time.monotonic() - started < 2 * GIVE_UP_SECONDS
    assert "longer than allowed" in step.observation
    assert is_usable(quick)


def test_jobs_of_the_command_end_with_its_time_out(quick: Episode) -> None:
    """What the timed-out command had started in the background ends with it."""
    quick.step("sleep 1001 & setsid -f sleep 1002; (sleep 1003 &); nohup sleep 1004 & sleep 60")
    assert quick.step(OWN_SLEEPS).observation == ""


def test_jobs_of_earlier_steps_survive_a_time_out(quick: Episode) -> None:
    """A time-out spares background jobs that earlier commands left running."""
    quick.step("sleep 1001 &")
    quick.step("sleep 60")
    assert "sleep 1001" in quick.step(OWN_SLEEPS).observation


def test_older_jobs_survive_a_time_out(quick: Episode) -> None:
    """A time-out spares jobs that had been running for a while, and what these start meanwhile."""
    quick.step("(while :; do sleep 0.2; done) & echo $! > pid; sleep 0.3")
    quick.step("sleep 60")
    assert quick.step("kill -0 $(cat pid) && echo alive; kill $(cat pid)").observation == "alive\n"


# Background jobs


def test_background_jobs_do_not_hold_up_a_step(episode: Episode) -> None:
    """A step ends with its foreground command, though a job goes on and holds its output."""
    step = episode.step("sleep 1001 & echo started")
    assert step.observation == "started\n"
    assert step.seconds < 5
    assert episode.step("jobs -r | grep -c sleep").observation == "1\n"


def test_late_output_of_a_job_comes_with_a_later_step(episode: Episode) -> None:
    """What a job prints after its step belongs to the step that runs by then."""
    assert episode.step("(until [ -e go ]; do sleep 0.01; done; echo late) & :").observation == ""
    assert episode.step("touch go; wait").observation.startswith("late\n")


def test_endless_job_does_not_hold_up_steps(episode: Episode) -> None:
    """A job that prints without end holds up no later step."""
    for action in ("yes & yes & yes & :", "sleep 0.1", "kill %1 %2 %3; wait"):
        started = time.monotonic()
        episode.step(action)
        assert time.monotonic() - started < 15
    assert episode.step("true").exit_status == 0


# Output


def test_ten_megabytes_of_binary_output(episode: Episode) -> None:
    """Ten megabytes of bytes are shown as head and tail, with the whole in the run directory."""
    step = episode.step("head -c 10000000 /dev/urandom | tee kept")
    assert len(step.observation) < 100_000
    assert "of 10000000 bytes cut" in step.observation
    assert (episode.run_directory / "outputs" / "0001.txt").read_bytes() == (
        episode.run_directory / "workspace" / "kept"
    ).read_bytes()
    assert is_usable(episode)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("printf abc", "abc"),
        ("printf '\\303\\244\\n'", "ä\n"),
        ("printf 'a\\377\\376b\\n'", "a\ufffd\ufffdb\n"),
        ("printf '\\303'", "\ufffd"),
        ("printf 'a\\0b\\n'", "a\0b\n"),
        ("printf '\\r\\n\\r'", "\r\n\r"),
        ("echo error >&2", "error\n"),
    ],
)
def test_output_is_shown_as_it_is(episode: Episode, command: str, shown: str) -> None:
    """Output needs no line end, comes from both streams, and bytes that are no text are marked."""
    assert episode.step(command).observation == shown
    assert is_usable(episode)


def test_hundred_thousand_lines(episode: Episode) -> None:
    """Of very long output the first and the last lines are shown."""
    text = episode.step("seq 100000").observation
    assert text.startswith("1\n2\n3\n")
    assert text.endswith("99999\n100000\n")
    assert "cut" in text
    assert len(text) < 40_000


def test_a_character_across_the_cut_is_not_broken(episode: Episode) -> None:
    """Where output is cut, no character is cut in two."""
    assert "\ufffd" not in episode.step("printf 'x'; printf 'ä%.0s' {1..40000}").observation


def test_order_of_output_and_errors(episode: Episode) -> None:
    """Output and errors come in the order in which they were written."""
    assert episode.step("for i in 1 2 3; do echo o$i; echo e$i >&2; done").observation == "o1\ne1\no2\ne2\no3\ne3\n"


# Shells that end, and input that is broken


@pytest.mark.parametrize(
    "command",
    [
        "exit",
        "exit 3",
        "exec sleep 0",
        "exec true; true",
        "kill -9 $$",
        "kill -SEGV $$",
        "set -e; false",
        "exec 0<&- 1>&-; kill -9 $BASHPID",
    ],
)
def test_shell_that_ends_is_replaced(episode: Episode, command: str) -> None:
    """A command that ends the shell gets the agent a new one in /workspace, and files are kept."""
    episode.step("echo kept > kept; x=5; cd $MLGYM_LITE_ROOT/tmp")
    step = episode.step(command)
    assert is_renewed(step)
    assert episode.step("echo [$x] ${PWD#$MLGYM_LITE_ROOT}; cat kept").observation == "[] /workspace\nkept\n"


def test_exec_of_a_program_runs_it_to_its_end(episode: Episode) -> None:
    """A program that takes the shell's place runs to its end, and its output is shown."""
    step = episode.step("exec bash -c 'sleep 0.2; echo last words'")
    assert step.observation.startswith("last words\n")
    assert is_usable(episode)


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("exec nonexistent", 127),
        ("if then", 2),
        ("echo 'unclosed", 2),
        ('echo "unclosed', 2),
        ("}", 2),
        ("cat <<END\nunterminated", 0),
        ("echo trailing \\", 0),
        ("set -u; echo $undefined", 1),
        ("set -n", 0),
        ("suspend", 1),
        ("logout", 1),
        ("return 7", 7),
        ("break", 0),
    ],
)
def test_broken_input_leaves_the_shell(episode: Episode, command: str, status: int) -> None:
    """Input that bash cannot read or carry out has an exit status, and the next command is read as usual."""
    assert episode.step(command).exit_status == status
    assert episode.step("echo usable").observation == "usable\n"


def test_unclosed_substitution_leaves_the_shell(episode: Episode) -> None:
    """A command substitution that is not closed costs an error message, and not the shell at the next command."""
    episode.step("kept=5")
    assert episode.step("echo $(ls").exit_status == 2
    assert is_usable(episode)
    assert episode.step("echo $kept").observation == "5\n"


def test_a_nul_is_refused(episode: Episode) -> None:
    """An action with a NUL character is refused in words, and the step counts."""
    step = episode.step("echo a\0b")
    assert "NUL" in step.observation
    assert step.exit_status == 1
    assert is_usable(episode)


def test_an_action_of_a_megabyte(episode: Episode) -> None:
    """An action of a megabyte runs whole."""
    text = "".join(f"{number:07d} " for number in range(131072))
    step = episode.step(f"cat > big <<'END'\n{text}\nEND\nwc -c < big")
    assert step.observation == f"{len(text) + 1}\n"


@pytest.mark.parametrize("character", ["\udcff", "\u2028", "\U0001f600", "\r", "\x1b", "\x7f", "\ufeff"])
def test_unusual_characters(episode: Episode, character: str) -> None:
    """An action may hold any character a text can."""
    step = episode.step(f"printf '%s' 'a{character}b' | od -An -tx1")
    assert step.observation.split() == [f"{byte:02x}" for byte in f"a{character}b".encode("utf-8", "surrogateescape")]


def test_half_a_character(episode: Episode) -> None:
    """An action with half of a surrogate pair, as models send it, is refused or run, but does not end the episode."""
    assert episode.step("echo \ud83d").number == 1
    assert is_usable(episode)


# Imitating control


def test_output_that_imitates_control(episode: Episode) -> None:
    """Nothing printed is taken for an exit status or a working directory."""
    step = episode.step("printf '%s\\0%d\\0%s\\0\\n' 0123456789abcdef 0 /forged; cat /proc/self/cmdline > /dev/null; (exit 3)")
    assert step.exit_status == 3
    assert step.working_directory == "/workspace"


def test_writing_to_every_descriptor(episode: Episode) -> None:
    """Programs hold no descriptor but the standard ones and the control socket, and writing to all of them does no harm."""
    listing = episode.step(
        "python3 -c \"import os; print(*[fd for fd in map(int, os.listdir('/proc/self/fd')) if fd > 2 and "
        "os.path.exists(f'/proc/self/fd/{fd}')])\""
    )
    number = episode.step("echo $MLGYM_LITE_CONTROL_FD").observation.strip()
    assert listing.observation.split() == [number]
    step = episode.step(
        "python3 - <<'END'\nimport os\nfor number in range(256):\n    try:\n"
        "        os.write(number, b'0123456789abcdef\\x000\\x00/forged\\x00\\n')\n    except OSError:\n      "
        "  pass\nEND\n(exit 4)"
    )
    assert step.exit_status == 4
    assert step.working_directory == "/workspace"
    assert is_usable(episode)


def test_writing_to_the_shells_own_descriptors(quick: Episode) -> None:
    """Writing into the shell's own descriptors costs the agent its shell at most, and never the episode."""
    quick.step(
        "python3 - <<'END'\nimport os\nshell = os.getppid()\nfor name in os.listdir(f'/proc/{shell}/fd'):\n    try:\n"
        "        descriptor = os.open(f'/proc/{shell}/fd/{name}', os.O_WRONLY | os.O_NONBLOCK)\n"
        "        os.write(descriptor, b'0123456789abcdef\\x000\\x00/forged\\x00\\n' * 300)\n    except "
        "OSError:\n        pass\nEND"
    )
    assert quick.step("true").number == 2
    assert is_usable(quick)


def test_reading_the_shells_commands(quick: Episode) -> None:
    """A program that steals what the shell was about to read costs the agent its shell at most, and never the episode."""
    started = time.monotonic()
    quick.step(
        "python3 - <<'END'\nimport os, select\nshell = os.getppid()\nfor name in os.listdir(f'/proc/{shell}/fd'):\n    try:\n"
        "        descriptor = os.open(f'/proc/{shell}/fd/{name}', os.O_RDONLY | os.O_NONBLOCK)\n        "
        "os.read(descriptor, 65536)\n"
        "    except OSError:\n        pass\nEND"
    )
    assert time.monotonic() - started < GIVE_UP_SECONDS
    quick.step("true")
    assert is_usable(quick)


def test_closed_standard_output(episode: Episode) -> None:
    """A command that closes its output closes it for itself only."""
    episode.step("exec >&-")
    assert is_usable(episode)
    episode.step("exec >/dev/null 2>&1 </dev/zero")
    assert is_usable(episode)


def test_closing_every_descriptor(episode: Episode) -> None:
    """A shell that has closed all its descriptors is replaced."""
    episode.step('for i in {0..255}; do eval "exec $i>&-"; done 2>/dev/null')
    assert is_usable(episode)


@pytest.mark.parametrize(
    "command",
    [
        "PS1='hello> '; PS2='more> '; PS4='trace> '",
        "PROMPT_COMMAND='echo prompt; (exit 9)'",
        "printf() { echo mine; }; echo() { command echo mine; }; unset -f echo",
        "read() { :; }; source() { :; }; exec() { :; }; trap() { :; }; kill() { :; }; set() { :; }",
        "alias printf=false; alias cd=false",
        "IFS=0123456789abcdef",
        "set -o posix; POSIXLY_CORRECT=1",
        "set -o vi; set -o history; set -o noclobber; set -f; shopt -s failglob nocasematch extdebug; shopt -u execfail",
        "readonly PWD",
        "PATH=",
        "unset PATH HOME PWD OLDPWD IFS",
        "trap 'x=1' DEBUG; trap ': err' ERR; trap ': exit' EXIT; trap ': return' RETURN",
        "exec 5>&1; exec 200>&- 201>&- 202>&-",
        "ulimit -v 40000",
        "export BASH_ENV=/etc/passwd ENV=/etc/passwd",
        "LC_ALL=C",
    ],
)
def test_settings_that_do_not_matter(quick: Episode, command: str) -> None:
    """Whatever the agent sets for its shell, later commands run and tell their status and output."""
    quick.step(command)
    step = quick.step("builtin echo usable; (exit 3)")
    assert step.observation == "usable\n"
    assert step.exit_status == 3


@pytest.mark.parametrize("command", ["builtin() { :; }", "enable -n printf", "alias builtin=false"])
def test_settings_that_cost_the_shell(quick: Episode, command: str) -> None:
    """A shell that can no longer answer is replaced when the command's time is up."""
    quick.step(command)
    quick.step("true")
    assert is_usable(quick)


@pytest.mark.parametrize("command", ["eval() { :; }", ".() { :; }", "enable -n .", "set -r"])
def test_settings_that_keep_the_shell_from_working(quick: Episode, command: str) -> None:
    """A shell that answers but no longer runs what it is given is replaced."""
    quick.step(command)
    quick.step("true")
    assert is_usable(quick)


def test_tracing_shows_the_agents_commands_only(episode: Episode) -> None:
    """With tracing on, the agent sees its own commands and nothing of the engine's."""
    episode.step("set -x")
    text = episode.step("echo traced").observation
    assert "echo traced" in text
    assert "printf" not in text


def test_a_shell_that_ends_between_steps(quick: Episode) -> None:
    """A shell that ended after its command, for TMOUT say, is replaced at the next action, and the agent is told."""
    quick.step("kill_me() { sleep 0.2; kill -9 $$; }; kill_me & :")
    deadline = time.monotonic() + 10
    while not is_renewed(quick.step("sleep 0.3")):
        assert time.monotonic() < deadline
    assert is_usable(quick)


def test_ulimit_that_forbids_everything(quick: Episode) -> None:
    """A shell that may no longer open, write or start anything costs the agent its shell at most."""
    for command in ("ulimit -n 3", "ulimit -n 0", "ulimit -f 0", "ulimit -u 1"):
        quick.step(command)
        quick.step("ls")
        quick.step("exit")
        assert is_usable(quick)


# Working directories


@pytest.mark.parametrize("name", ["a\nb", "it's", 'quo"te', "$HOME", "-x", "ä", " ", "a\\nb", "*"])
def test_unusual_working_directories(episode: Episode, name: str) -> None:
    """The working directory is told as it is, whatever its name."""
    quoted = "'" + name.replace("'", "'\\''") + "'"
    step = episode.step(f"mkdir -- ./{quoted} && cd -- ./{quoted}")
    assert step.working_directory == f"/workspace/{name}"
    assert episode.step("pwd").observation == f"{episode.root}/workspace/{name}\n"


def test_deleted_working_directory(episode: Episode) -> None:
    """A working directory that is deleted is no hindrance."""
    episode.step("mkdir gone; cd gone; rmdir ../gone")
    assert is_usable(episode)
    assert episode.step("cd $MLGYM_LITE_ROOT/workspace").working_directory == "/workspace"


def test_deep_working_directory(episode: Episode) -> None:
    """A working directory with a path longer than the kernel takes is no hindrance."""
    episode.step('for i in {1..30}; do mkdir $(printf "d%.0s" {1..250}); cd d*; done 2>/dev/null')
    assert is_usable(episode)
    assert episode.step("cd $MLGYM_LITE_ROOT/tmp").working_directory == "/tmp"


def test_a_forged_working_directory_is_only_told(episode: Episode) -> None:
    """An agent that sets PWD itself deceives itself only."""
    episode.step("PWD=/forged")
    assert episode.step("cd $MLGYM_LITE_ROOT/workspace; /bin/pwd").observation.endswith("/workspace\n")


# Memory and processes


@pytest.mark.cgroup
def test_memory_kill_is_told(episode: Episode) -> None:
    """A process that passes the memory limit is killed, and the agent is told the limit and the peak."""
    step = episode.step('python3 -c "x = bytearray(2 << 30)"; echo after')
    assert "after\n" in step.observation
    assert "Killed for memory: 1 process; the limit is 512 MiB, the peak was 51" in step.observation
    assert is_usable(episode)
    assert "Killed for memory" not in episode.step("true").observation


@pytest.mark.cgroup
def test_memory_of_temporary_files_counts(episode: Episode) -> None:
    """Files in /tmp, /dev/shm and the home folder cannot take more than their shares of the memory."""
    step = episode.step(
        "for place in /tmp /dev/shm ~; do head -c 600M /dev/zero > $place/x; du -sm $place/x | cut -f1; rm $place/x; done"
    )
    sizes = [int(line) for line in step.observation.splitlines() if line.isdigit()]
    assert len(sizes) == 3
    assert all(size <= 300 for size in sizes)
    assert is_usable(episode)


def test_a_bounded_fork_bomb(quick: Episode) -> None:
    """A fork bomb is stopped by the limit on processes and ended with its time-out."""
    quick.step(
        "python3 - <<'END'\nimport os, time\nstarted = 0\ntry:\n    for _ in range(2000):\n        if os.fork() == 0:\n"
        "            time.sleep(20); os._exit(0)\n        started += 1\nexcept OSError:\n    pass\nopen('started', "
        "'w').write(str(started))\nEND"
    )
    started = int((quick.run_directory / "workspace" / "started").read_text(encoding="ascii"))
    assert 0 < started < 600
    quick.step("exit")
    assert is_usable(quick)


# Ctrl-C


def test_interrupt_ends_the_command_where_that_is_asked_for(open_episode: OpenEpisode) -> None:
    """With `interruptible`, Ctrl-C ends the running command and keeps the shell and the episode."""
    main = threading.main_thread().ident
    assert main is not None

    def when_started(piece: bytes) -> None:
        if b"started" in piece:
            signal.pthread_kill(main or 0, signal.SIGINT)

    episode = open_episode(interruptible=True, on_output=when_started)
    episode.step("kept=5")
    step = episode.step("echo started; sleep 20")
    assert step.seconds < 10
    assert step.observation.startswith("started\n")
    assert episode.step("echo $kept").observation == "5\n"


def test_interrupt_ends_the_episode_otherwise(open_episode: OpenEpisode) -> None:
    """Without it, Ctrl-C leaves the step, and the episode ends as interrupted when its block is left."""

    def when_started(piece: bytes) -> None:
        if b"started" in piece:
            os.kill(os.getpid(), signal.SIGINT)

    episode = open_episode(on_output=when_started)
    with pytest.raises(KeyboardInterrupt), episode_block(episode):
        episode.step("echo started; sleep 20")
    assert episode.outcome is not None
    assert episode.outcome.ending.reason == "interrupted"


@contextlib.contextmanager
def episode_block(episode: Episode) -> Iterator[None]:
    """The rest of a `with` block around an episode that is open already."""
    try:
        yield
    except BaseException as error:
        episode.__exit__(type(error), error, error.__traceback__)
        raise
