"""Asks the advisory database about the locked dependencies: exit 1 when one has a known weakness.

Where the database cannot be reached, it says so and passes: a lint that depends on the network would be red
for reasons that nobody can mend.
"""

import json
import subprocess
import sys

ARGUMENTS = ["--requirement", "requirements.lock", "--no-deps", "--disable-pip", "--format", "json"]


def main() -> int:
    """Run pip-audit and tell what it found in a line or two."""
    done = subprocess.run(  # noqa: S603  a fixed command of ours
        [sys.executable, "-m", "pip_audit", *ARGUMENTS, "--progress-spinner", "off"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        dependencies = []
    audited = [each for each in dependencies if "skip_reason" not in each]
    if not audited:
        sys.stdout.write(
            "audit: the advisory database cannot be reached; locked dependencies were not audited\n"
        )
        return 0
    weak = [each for each in audited if each["vulns"]]
    for each in weak:
        known = ", ".join(weakness["id"] for weakness in each["vulns"])
        sys.stdout.write(f"audit: {each['name']} {each['version']}: {known}\n")
    sys.stdout.write(
        f"audit: {len(audited)} of {len(dependencies)} locked dependencies audited, {len(weak)} weak\n"
    )
    return 1 if weak else 0


if __name__ == "__main__":
    sys.exit(main())
