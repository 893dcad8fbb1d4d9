"""`internvid availability`: how much of a list could be had."""

from collections import Counter

from internvid_pipeline.cli.options import JsonOption, RootArgument, print_json


def availability(root: RootArgument, as_json: JsonOption = False) -> None:
    """Count videos, and clips of a published list, that were had, and the others by reason (gone, private, geo-blocked, …)."""
    from internvid_pipeline.cli.dataset import open_dataset
    from internvid_pipeline.engine.availability import availability as count

    opened, _, plans, partitions = open_dataset(root)
    found = count(opened, plans, partitions)
    if as_json:
        print_json({"videos": dict(found.videos), "clips": dict(+found.clips)})
        return
    _print("videos", found.videos)
    _print("clips asked for", +found.clips)


def _print(title: str, counts: Counter[str]) -> None:
    total = counts.total()
    if not total:
        return
    print(f"{title}: {total:,}")
    for name, count in sorted(counts.items(), key=lambda pair: (pair[0] != "available", -pair[1], pair[0])):
        print(f"  {count:>12,}  {count / total:6.1%}  {name}")
