"""An MTA of the tests: it keeps what it is given."""

# Takes what it is given; or not, where its directory says so.
MTA = """#!/bin/sh
test -e {box}/refuse && exit 69
message=$(mktemp {box}/XXXXXXXX)
{{ id -u; grep NoNewPrivs /proc/self/status; echo "$LOGNAME"; printf '%s\\n' "$@"; }} > $message.args
cat > $message.part
mv $message.part $message.eml
rm $message
"""


class Mailbox:
    """A fake MTA in the test's own directory, and what it was given."""

    def __init__(self, directory):
        self.box = directory / "mail"
        self.box.mkdir()
        self.box.chmod(0o1777)
        self.program = directory / "mta"
        self.program.write_text(MTA.format(box=self.box))
        self.program.chmod(0o755)

    def messages(self):
        """(what the MTA was told, the message), the order of arrival being nobody's promise."""
        return [(path.with_suffix(".args").read_text().splitlines(), path.read_text())
                for path in self.box.glob("*.eml")]

    def refuse(self, on=True):
        mark = self.box / "refuse"
        mark.touch() if on else mark.unlink()
