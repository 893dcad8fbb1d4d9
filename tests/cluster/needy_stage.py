"""A stage that needs a package which one node of the tests' cluster lacks."""

from tests.toy_stages import Numbers


class Needy(Numbers):
    """Imports where it is used, as stages do with what is heavy."""

    name = "toy_needy"

    def process(self, batch):
        import yt_dlp

        assert yt_dlp
        return super().process(batch)
