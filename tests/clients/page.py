"""The page that the matrix becomes: text that depends on what was found alone, not on when or where."""

OPENING = """# Compatibility

Client libraries and applications, unchanged, through slotway before a cluster of three primaries and three replicas.
Written by `scripts/compatibility`, which installs these releases, runs the programs in `tests/clients` and fails if
one of them does. Each program does what the users of its library do, and was checked against a plain server first.

"By default" means a configuration that names nothing but the nodes. A setting stands where the default is not enough.

| client | release | protocol | result |
|---|---|---|---|
"""


def shown(setting):
    """A snippet of configuration in one line."""
    return "`" + " ".join(setting.split("\n")).strip() + "`"


def label(program):
    what = [program.variant] if program.variant else []
    return f"{program.name} ({', '.join([*what, program.protocol])})"


def listed(names):
    return ", ".join(names)


# What an error means for who reads the page; the errors themselves name jobs and keys that differ each time.
CAUSES = [
    ("hash to the same slot", "its keys are in several slots"),
    ("EXECABORT", "its keys are in several slots"),
    ("non local key", "its scripts use keys that they do not name"),
    ("SELECT is not possible", "a cluster has only database 0"),
]


def cause(why):
    return next((meaning for word, meaning in CAUSES if word in why), why)


def failing(run):
    """Features that fail, with the causes, each once."""
    unexpected = run.unexpected()
    causes = dict.fromkeys(cause(why) for why in unexpected.values())
    # A program that waited for another, or missed what another should have done, says nothing of the cause.
    known = [text for text in causes if any(text == meaning for _, meaning in CAUSES)] or list(causes)
    return f"{listed(unexpected)} ({'; '.join(known)})"


def result(runs):
    """What the table says of a program, given its runs."""
    last, first = runs[-1], runs[0]
    if not last.works():
        best = max(runs, key=lambda run: len(run.ok))
        return ("does not work: " if len(best.ok) < len(best.failed) else "works but for: ") + failing(best)
    said = "works" if last.setting == "" else f"works with {shown(last.setting)}"
    if last is not first:
        said += f"; by default not: {failing(first)}"
    missing = [name for name in last.failed if name in last.program.cannot]
    if len(missing) > len(last.ok):
        return "does not work: " + impossible(last.program.cannot, missing)
    return f"{said}; cannot: {impossible(last.program.cannot, missing)}" if missing else said


def impossible(cannot, missing):
    """What a client cannot do, each reason once."""
    reasons = dict.fromkeys(cannot[name] for name in missing)
    return "; ".join(f"{listed([name for name in missing if cannot[name] == why])} ({why})" for why in reasons)


def page(results, versions):
    text = OPENING
    for runs in results:
        program = runs[-1].program
        release = versions(program.package)
        name = f"{program.name}, {program.variant}" if program.variant else program.name
        text += f"| {name} | {release} | {program.protocol} | {result(runs)} |\n"
    text += "\n## What was done\n"
    for runs in results:
        best = max(runs, key=lambda run: len(run.ok))
        text += f"\n- **{label(best.program)}**: {listed(best.ok)}."
    return text + "\n"
