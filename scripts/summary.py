"""The table at the end of ./dev test, and its closing line: summary.py STAGES.TSV LOG_DIRECTORY.

A line of STAGES.TSV is name, status, seconds, title and the JUnit file, separated by tabs. What a stage without such a
file counts is the last `N passed, N failed` of its log; a build counts only when it fails.

A test that failed beside others and passed alone counts as passed, and is named as unsteady: integration tests have
such a second run in NAME-alone.xml, ctest tells of it in its log. What had passed in a VM that hung, and was not run
again, is in NAME.passed.
"""

import dataclasses
import pathlib
import re
import sys
import xml.etree.ElementTree

_CLOSING = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)
_CTEST_FAILURE = re.compile(r"Test +#\d+: (.+?) \.*\*\*\*")


@dataclasses.dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list = dataclasses.field(default_factory=list)  # names
    unsteady: list = dataclasses.field(default_factory=list)  # names

    def __add__(self, other):
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped,
                     self.failures + other.failures, self.unsteady + other.unsteady)


def from_junit(path):
    """ctest writes one testsuite, pytest several below a root; both have a testcase for each test."""
    count = Count()
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
            count.failed += 1
            count.failures.append(case.get("name"))
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            count.skipped += 1
        else:
            count.passed += 1
    return count


def with_second_run(count, junit, log):
    """What failed once and passed alone is no failure."""
    alone = junit.with_name(f"{junit.stem}-alone.xml")
    once = []
    if alone.exists():
        once, count.failures = count.failures, from_junit(alone).failures
        count.failed, first = len(count.failures), count.failed
        count.passed += first - count.failed
    elif log.exists():
        once = _CTEST_FAILURE.findall(log.read_text(errors="replace"))
    count.unsteady = sorted(set(once) - set(count.failures))
    before = junit.with_suffix(".passed")
    if before.exists():
        count.passed += len(before.read_text().splitlines())
        count.unsteady.append("the VM hung, and another went on")
    return count


def from_log(path):
    closing = _CLOSING.findall(path.read_text(errors="replace")) if path.exists() else []
    return Count(*map(int, closing[-1])) if closing else None


def count_stage(name, status, junit, logs):
    if status == "not run":
        return Count(skipped=1)
    count = None
    if junit and pathlib.Path(junit).exists():
        try:
            count = with_second_run(from_junit(junit), pathlib.Path(junit), logs / f"{name}.log")
        except xml.etree.ElementTree.ParseError:
            pass  # the stage was killed while it wrote
    elif not junit:
        count = from_log(logs / f"{name}.log")
    if count is None:
        # A build, or tests that ended before they could report. The latter never pass.
        return Count(failed=1, failures=["no result"]) if status == "failed" or junit else Count()
    if status == "failed" and count.failed == 0:
        count.failed, count.failures = 1, ["the stage, though none of its tests"]
    return count


def main():
    logs = pathlib.Path(sys.argv[2])
    total = Count()
    print(f"\n{'stage':<44}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}")
    for line in pathlib.Path(sys.argv[1]).read_text().splitlines():
        name, status, seconds, title, junit = line.split("\t")
        count = count_stage(name, status, junit, logs)
        count.failures = [f"{title}: {failure}" for failure in count.failures]
        count.unsteady = [f"{title}: {test}" for test in count.unsteady]
        total += count
        print(f"{title:<44}{count.passed:>8}{count.failed:>8}{count.skipped:>8}{seconds:>9}")
    if total.unsteady:
        print("\nunsteady (failed once, passed alone):", *total.unsteady, sep="\n  ")
    if total.failures:
        print("\nfailed:", *total.failures, sep="\n  ")
    print(f"\n{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
