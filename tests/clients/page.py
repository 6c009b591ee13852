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


def result(runs):
    """What the table says of a program, given its runs."""
    last, first = runs[-1], runs[0]
    if not last.works():
        return "does not work: " + "; ".join(f"{name}: {why}" for name, why in last.unexpected().items())
    said = "works" if last.setting == "" else f"works with {shown(last.setting)}"
    missing = [name for name in last.failed if name in last.program.cannot]
    if last is not first:
        failing = [name for name in first.failed if name not in last.program.cannot]
        if "the whole program" in failing:
            said += "; not by default"
        else:
            said += f"; by default all but: {listed(failing)}"
    if missing:
        said += "; cannot: " + "; ".join(f"{name} ({last.program.cannot[name]})" for name in missing)
    return said


def page(results, versions):
    text = OPENING
    for runs in results:
        program = runs[-1].program
        release = versions(program.package)
        name = f"{program.name}, {program.variant}" if program.variant else program.name
        text += f"| {name} | {release} | {program.protocol} | {result(runs)} |\n"
    text += "\n## What was done\n"
    for runs in results:
        last = runs[-1]
        text += f"\n- **{label(last.program)}**: {listed(last.ok)}."
    return text + "\n"
