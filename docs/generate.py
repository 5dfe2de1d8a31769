"""Writes the reference pages that follow from data: formats, presets, axes, schemes, error codes."""

import contextlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import nonlinear_errors  # beside this file

from lowbit.cli import main
from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.prototypes import CONTAINERS, header, usual
from lowbit.cli.topics import ERROR_TOPICS
from lowbit.exact import Exact, format_exact
from lowbit.format.block import BlockFormat
from lowbit.format.block_name import element_format
from lowbit.format.common import Format
from lowbit.format.protocol import Element
from lowbit.format.registry import families, formats, get_format
from lowbit.nonlinear.scheme import NONLINEARITIES, schemes
from lowbit.policy.accumulator import ACCUMULATORS, Accumulator
from lowbit.policy.cast import CAST_PRESETS, DEFECTS, Policy
from lowbit.policy.choices import Choices
from lowbit.policy.presets import EVIDENCE, Claim
from lowbit.policy.requantize import (
    DERIVATIONS,
    REQUANTIZE_SCHEMES,
    SCALE_PRODUCTS,
    RequantizeScheme,
    arithmetic_name,
)
from lowbit.proof.accumulator import largest_safe_k

LONGEST_VALUE = 16
"""Characters of a value in a table."""
NOTICE = "<!-- Written by docs/generate.py from the data; edit that or the data. -->\n\n"


def write_all(directory: Path) -> None:
    """Write every generated page below a directory; files that are right already stay untouched."""
    pages = {f"formats/{name}.md": format_page(get_format(name)) for name in formats() if not get_format(name).family}
    pages["formats/index.md"] = formats_index()
    pages["policies.md"] = policies_page()
    pages["prototypes.md"] = prototypes_page()
    pages["statuses.md"] = statuses_page()
    pages["accumulators.md"] = accumulators_page()
    pages["requantization.md"] = requantization_page()
    pages["nonlinear-schemes.md"] = nonlinear_schemes_page()
    pages["nonlinear-errors.md"] = nonlinear_errors.page()
    for name, text in pages.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = NOTICE + text
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")


def run(*words: str) -> str:
    """What ``lowbit`` prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = main(words)
    if status:
        raise RuntimeError(f"lowbit {' '.join(words)} ended with status {status}")
    return output.getvalue()


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def format_page(fmt: Format) -> str:
    """Bit diagram, facts, and the whole value table up to 8 bits: what ``lowbit show`` prints."""
    values = ["--values"] if isinstance(fmt, Element) and fmt.bits <= 8 else []
    command = f"lowbit show {fmt.id}{' --values' if values else ''}"
    return f"# {fmt.id}\n\n```console\n$ {command}\n{run('show', fmt.id, *values)}```\n"


def short_value(value: Exact) -> str:
    """A value exactly, or where that would push the other columns aside, in decimals."""
    text = format_exact(value)
    return text if len(text) <= LONGEST_VALUE else f"~{float(value.fraction()):.9g}"


def formats_index() -> str:
    """All single formats, and the families."""
    names = (*formats(kind="scalar"), *formats(kind="vector"))
    single = [fmt for fmt in map(element_format, names) if not fmt.family]
    blocks = [fmt for fmt in map(get_format, formats(kind="block")) if isinstance(fmt, BlockFormat)]
    block_rows = [
        (f"[{fmt.id}]({fmt.id}.md)", f"{float(fmt.bits_per_value):g}", f"`{fmt.element.id}`", fmt.summary)
        for fmt in blocks
    ]
    rows = [
        (
            f"[{fmt.id}]({fmt.id}.md)",
            str(fmt.bits),
            short_value(fmt.component.max),
            f"`{fmt.default_policy}`",
            fmt.summary,
        )
        for fmt in single
    ]
    family_rows = [
        (f"`{family.id}`", ", ".join(f"`{name}`" for name in family.names), family.summary) for family in families()
    ]
    pages = "\n".join(fmt.id for fmt in (*single, *blocks))
    return (
        "# Formats\n\nOne page a format, from the files in `formats/`.\n\n"
        + table(("format", "bits", "largest value", "default policy", "what it is"), rows)
        + "\n## Block formats\n\nElements that share scales: [Block formats](../../explanation/block-formats.md). "
        + "Others are named by their parts: `lowbit show int4.g128`.\n\n"
        + table(("format", "bits a value", "element", "what it is"), block_rows)
        + "\n## Families\n\nMembers are named by their parameters: `lowbit show binary8p4se`.\n\n"
        + table(("family", "members", "what it is"), family_rows)
        + f"\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"
    )


def axes_section(kind: type[Choices]) -> str:
    """Each axis with what it decides, and its choices."""
    parts = ["\n## Axes\n"]
    for axis, summary in kind.AXES.items():
        parts.append(f"### `{axis}`\n\n{summary[0].upper()}{summary[1:]}.\n")
        if axis in kind.CHOICES:
            rows = [(f"`{choice}`", words) for choice, words in kind.CHOICES[axis].items()]
            parts.append(table(("choice", "what it means"), rows))
    return "\n".join(parts)


def founded(claim: Claim) -> str:
    """How well a claim is founded, and where."""
    return ": ".join(filter(None, (claim.evidence, claim.source))) or "-"


def policies_page() -> str:
    """Presets, axes with their choices, and defects."""
    presets = []
    for name, policy in CAST_PRESETS.items():
        choices = policy.without_defects().spell(Policy()) or "-"
        claim = CAST_PRESETS.claims[name]
        presets.append((f"`{name}`", claim.summary, choices, ", ".join(policy.defects) or "-", founded(claim)))
    defects = [(f"`{name}`", defect.summary) for name, defect in DEFECTS.items()]
    return (
        "# Policies\n\nA policy is one choice on each axis. A preset is a named policy with the defects that the\n"
        "product is known to have; `encode` reproduces both, `check` compares with the choices and reports\n"
        "the defects by name.\n\n"
        "## Presets\n\nChoices that differ from a plain `Policy()`; some presets follow other rules for some targets "
        "(`lowbit explain NAME`).\n\n"
        + table(("preset", "claim", "choices", "defects", "evidence"), presets)
        + "\n## Evidence\n\n"
        + table(("grade", "the claim was"), [(f"`{grade}`", words) for grade, words in EVIDENCE.items()])
        + axes_section(Policy)
        + "\n## Defects\n\n"
        + table(("defect", "what happens"), defects)
    )


def accumulators_page() -> str:
    """Named accumulators with the largest safe K of their operands, and the axes with their choices."""
    presets = []
    for name, accumulator in ACCUMULATORS.items():
        left, *others = ["int8"] if accumulator.operands == "any" else accumulator.operands.split("_")
        right = others[0] if others else left
        longest = largest_safe_k(accumulator, left, right).k
        safe = f"{longest:,}" if longest is not None else "any"
        claim = ACCUMULATORS.claims[name]
        presets.append((f"`{name}`", claim.summary, f"{left} x {right}", safe, founded(claim)))
    return (
        "# Accumulators\n\nNamed points of the space that [Accumulators](../explanation/accumulators.md) describes.\n\n"
        "## Presets\n\n"
        + table(("accumulator", "claim", "operands", "largest safe K", "evidence"), presets)
        + axes_section(Accumulator)
    )


def requantization_page() -> str:
    """Named requantisation schemes, and the axes with their choices."""
    arithmetic, products = [], []
    for name, scheme in REQUANTIZE_SCHEMES.items():
        if scheme.product_name:
            same = arithmetic_name(scheme)
            origin = founded(REQUANTIZE_SCHEMES.claims[name])
            products.append((f"`{name}`", scheme.product_name, f"`{same}`" if same != name else "", origin))
        else:
            arithmetic.append((f"`{name}`", scheme.summary, str(scheme.roundings)))
    return (
        "# Requantisation schemes\n\n[Requantisation](../explanation/requantization.md) says what they are.\n\n"
        "## By arithmetic\n\n"
        + table(("scheme", "what it does", "roundings"), arithmetic)
        + "\n## By product\n\n"
        + table(("scheme", "product", "same as", "evidence"), products)
        + axes_section(RequantizeScheme)
        + "\n## Derivations of the multiplier\n\n"
        + table(("derivation", "rule"), [(f"`{name}`", rule) for name, rule in DERIVATIONS.items()])
        + "\n## Products of scales\n\n"
        + table(("scale_product", "rule"), [(f"`{name}`", rule) for name, rule in SCALE_PRODUCTS.items()])
    )


def nonlinear_schemes_page() -> str:
    """The schemes of every integer-only nonlinearity."""
    text = (
        "# Schemes of the integer-only nonlinearities\n\n"
        "[Integer-only nonlinearities](../explanation/nonlinearities.md) and [those of "
        "TFLite](../explanation/tflite-nonlinearities.md) say where they differ; "
        "[policies](policies.md#evidence) say what the grades of evidence are.\n"
    )
    for operation in NONLINEARITIES:
        rows = [
            (
                f"`{record.id}`",
                record.summary,
                ", ".join(f"`{variant}`" for variant in record.variants if variant),
                record.codes,
                ", ".join(f"`{option}`" for option in record.options),
                record.evidence or "-",
                "yes" if record.audited else "",
            )
            for record in schemes(operation).values()
        ]
        head = ("scheme", "what it is", "variants", "codes", "further arguments", "evidence", "`lowbit prove`")
        text += f"\n## {operation}\n\n{table(head, rows)}"
    return text


def prototypes_page() -> str:
    """The C functions that ``lowbit check --so`` calls: one an operation, all others in the header."""
    rows = [
        (entry.operation, f"`{entry.prototype.c('f')}`", f"`{entry.prototype.python('f')}`", f"`{entry.options}`")
        for entry in usual()
    ]
    containers = [(f"`{name}_t`", words) for name, words in CONTAINERS.items()]
    return (
        "# Prototypes of kernels\n\nWhat `lowbit check` calls: a C function in a shared object (`--so FILE:SYMBOL`), "
        "or a Python function over\nNumPy arrays (`--python MODULE:FUNCTION`). Matrices and rows lie row by row; a "
        "call must write all of its results.\n\n"
        + table(("operation", "C", "Python", "types of"), rows)
        + "\n## Element types\n\nThe code lies in the low bits.\n\n"
        + table(("type", "codes"), containers)
        + "\n## All of them\n\n`lowbit export prototypes --output lowbit_kernels.h` writes this header. Declare your "
        f"kernel by its type, and\nthe compiler says where it differs.\n\n```c\n{header()}```\n"
    )


def statuses_page() -> str:
    """Exit statuses and error codes."""
    return (
        "# Exit statuses and error codes\n\n## Exit statuses\n\n"
        + table(("status", "meaning"), [(str(code.value), code.meaning) for code in ExitCode])
        + "\n## Error codes\n\n`lowbit explain CODE` prints the same.\n\n"
        + table(("code", "meaning"), [(f"`{code}`", text) for code, text in ERROR_TOPICS.items()])
    )
