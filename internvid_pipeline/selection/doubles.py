"""Which of several doubles is kept, and in whose place each of the others stands."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Link:
    """The item that stands for another, and how that was found."""

    to: int
    method: str
    similarity: float


@dataclass
class Doubles:
    """Items 0 to n - 1. ranks: sorting keys; of two doubles the one with the smaller key is kept. An item goes only for one that is its
    direct double: what merely is a double's double stays."""

    ranks: Sequence[tuple[object, ...]]
    _links: dict[int, Link] = field(default_factory=dict)

    def is_kept(self, item: int) -> bool:
        """True where it stands for itself so far."""
        return item not in self._links

    def add(self, pairs: Iterable[tuple[int, int, float, str]]) -> None:
        """Takes in (item, its double, similarity, method), both orders welcome, and lets go, in the order of the ranks, each item that is
        a double of one that is kept."""
        by_item: dict[int, list[tuple[object, int, float, str]]] = {}
        for one, other, similarity, method in pairs:
            if self.is_kept(one) and self.is_kept(other):
                last, kept = (one, other) if self._key(other) < self._key(one) else (other, one)
                by_item.setdefault(last, []).append((self._key(kept), kept, similarity, method))
        for item in sorted(by_item, key=self._key):
            for _, kept, similarity, method in sorted(by_item[item], key=lambda entry: (entry[0], -entry[2])):
                if self.is_kept(kept):
                    self._links[item] = Link(kept, method, similarity)
                    break

    def put(self, item: int, link: Link) -> None:
        """Lets an item go for another whose rank does not matter: the order is the method's own."""
        if self.is_kept(item):
            self._links[item] = link

    def _key(self, item: int) -> tuple[object, ...]:
        return (*self.ranks[item], item)

    def link(self, item: int) -> Link | None:
        """The item that is kept in its place, through others that have gone meanwhile; None where it is kept itself."""
        own = self._links.get(item)
        if own is None:
            return None
        to = own.to
        while to in self._links:
            to = self._links[to].to
        return Link(to, own.method, own.similarity)
