"""Which names of a long list there were already, without holding the names."""

from array import array

_SMALLEST = 1 << 12


class Seen:
    """A set of texts by their 64-bit hashes, 16 to 32 bytes each; of a million two are taken for one once in 30 million
    lists. It is a table with open addressing: a set of Python's takes four times as much.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _SMALLEST))
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def add(self, text: str) -> bool:
        """Whether ``text`` is new."""
        # 0 is an empty slot.
        if not _put(self._slots, hash(text) & _ALL or 1):
            return False
        self._used += 1
        if self._used * 2 > len(self._slots):
            larger = array("Q", bytes(16 * len(self._slots)))
            for kept in self._slots:
                if kept:
                    _put(larger, kept)
            self._slots = larger
        return True


_ALL = (1 << 64) - 1


def _put(slots: "array[int]", digest: int) -> bool:
    mask = len(slots) - 1
    place = digest & mask
    while slots[place]:
        if slots[place] == digest:
            return False
        place = (place + 1) & mask
    slots[place] = digest
    return True
