"""How far two sets of tensors are apart, by the same rule everywhere."""


def relative_error(ours, theirs):
    """Largest difference over the largest magnitude of `theirs`, in float64."""
    assert ours.shape == theirs.shape, f"{tuple(ours.shape)} against {tuple(theirs.shape)}"
    ours, theirs = ours.double(), theirs.double()
    if theirs.numel() == 0:
        return 0.0
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-300)).item()


def assert_alike(ours, theirs, bound):
    """Both are name → tensor, with the same names."""
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    errors = {name: relative_error(ours[name], theirs[name]) for name in theirs}
    beyond = {name: error for name, error in errors.items() if not error <= bound}
    assert not beyond, f"relative error above {bound}: {beyond}"


def with_prefix(tensors, prefix):
    return {name[len(prefix):]: value for name, value in tensors.items() if name.startswith(prefix)}
