"""Captures the control's calls, and one whose weights are not those of its reference; prints what happened."""

import json

from experiments.machine.control import calls


def main() -> None:
    checked = []
    for call in ("matmul 64", "chain"):
        for number_format in ("float32", "int8"):
            calls.captured(call, number_format, "CPU")()
            checked.append(f"{call} {number_format}")
    right = calls._reference
    calls._reference = lambda *given: right(*given) + 1
    try:
        calls.captured("matmul 64", "float32", "CPU")
        refused = ""
    except calls.WrongResult as error:
        refused = str(error)
    print(json.dumps({"checked": checked, "refused": refused}))


if __name__ == "__main__":
    main()
