"""Icarus Verilog reads the committed golden files; the right unit follows them and every planted bug is caught."""


def test_units_follow_the_golden_vectors(icarus, unit, sources, plusargs, judge, run, tmp_path):
    program = tmp_path / "bench"
    parameters = [f"-Pvector_bench.{name}={value}" for name, value in unit.parameters.items()]
    run(icarus, "-g2005", "-s", "vector_bench", *parameters, "-o", program, *sources)
    judge(run("vvp", "-n", program, *plusargs))
