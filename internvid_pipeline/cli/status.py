"""`internvid status`: how far a data set is."""

from internvid_pipeline.cli.options import JsonOption, RootArgument, print_json


def status(root: RootArgument, as_json: JsonOption = False) -> None:
    """Show how far a data set is: per stage partitions done, and inputs = emitted + dropped + failed."""
    from internvid_pipeline.cli.dataset import open_dataset
    from internvid_pipeline.cli.progress import print_statuses
    from internvid_pipeline.engine import StatusReader

    opened, config, plans, partitions = open_dataset(root)
    statuses = StatusReader(opened, plans, partitions).read()
    if as_json:
        print_json(
            {"root": opened.uri, "name": config.name, "partitions": len(partitions), "stages": [found.to_dict() for found in statuses]}
        )
        return
    print_statuses(statuses)
