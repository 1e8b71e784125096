"""Makes the judge's items out of what the tap of a world saw: whole, from the middle, with gaps."""

from __future__ import annotations

from random import Random

from tests.watch.worlds import World

from refserver.watch.conversation import Bytes, Ended, How, Item, Missing, Opened, Side


def seen(world: World) -> list[Item]:
    """Everything, from the beginning."""
    items: list[Item] = []
    for at, number, what, side, data in world.items:
        if what == "open":
            items.append(Opened(at, number, f"10.0.0.1:{number}", "127.0.0.1:3000", secure=False))
        elif what == "bytes":
            items.append(Bytes(at, number, Side(side), data))
        else:
            items.append(Ended(at, number, Side(side), How(what)))
    return items


def from_the_middle(items: list[Item], rng: Random) -> list[Item]:
    """Only what passed behind some moment."""
    cut = rng.randrange(len(items) + 1)
    opened = [item for item in items[:cut] if isinstance(item, Opened)]
    rest = items[cut:]
    at = rest[0].at if rest else 0.0
    begun: list[Item] = [
        Opened(at, each.connection, each.client, each.server, whole=False) for each in opened
    ]
    return begun + rest


def with_gaps(items: list[Item], rng: Random) -> list[Item]:
    """Some bytes were not seen; of some nobody knows how many."""
    rate = rng.choice((0.01, 0.1, 0.4))
    found: list[Item] = []
    for item in items:
        if isinstance(item, Bytes) and rng.random() < rate:
            start = rng.randrange(len(item.data))
            stop = rng.randrange(start, len(item.data)) + 1
            pieces = item.data[:start], item.data[stop:]
            if pieces[0]:
                found.append(Bytes(item.at, item.connection, item.side, pieces[0]))
            size = None if rng.random() < 0.3 else stop - start
            found.append(Missing(item.at, item.connection, item.side, size))
            if pieces[1]:
                found.append(Bytes(item.at, item.connection, item.side, pieces[1]))
        else:
            found.append(item)
    return found
