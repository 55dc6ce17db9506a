"""What one crawl holds of the gate: the slots at the host it asks, and at its address."""

from vmcrawl.address import Address
from vmcrawl.deadline import Budget
from vmcrawl.gate import Gate, Hold


class Stay:
    """The slots that a crawl has at the host it asks, and at its address.

    They are kept from request to request, until another host is asked, the crawl pauses, or another thread wants one:
    each lock is a system call, and a change of threads. So nobody ever waits for a host while he holds another.
    """

    def __init__(self, gate: Gate, budget: Budget) -> None:
        self._gate = gate
        self._budget = budget
        self._host: str | None = None
        self._host_hold: Hold | None = None
        self._address: Address | None = None
        self._address_hold: Hold | None = None

    def enter(self, host: str) -> None:
        """Have the slot of ``host``, and of no other."""
        if host == self._host:
            return
        self.end()
        hold = self._gate.try_host(host)
        if hold is None:
            with self._budget.ours():
                hold = self._gate.hold_host(host)
        self._host, self._host_hold = host, hold

    def move_to(self, address: Address) -> None:
        """Have a slot at ``address``; the one at another address is given back first, so that none waits for two."""
        if address == self._address:
            return
        self.leave_address()
        hold = self._gate.try_address(address)
        if hold is None:
            with self._budget.ours():
                hold = self._gate.hold_address(address)
        self._address, self._address_hold = address, hold

    def leave_address(self) -> None:
        """Give the slot at the address back."""
        if self._address_hold is not None:
            self._gate.release(self._address_hold)
        self._address = self._address_hold = None

    def give_way(self) -> None:
        """A request is over: let others have what they wait for."""
        holds = (self._address_hold, self._host_hold)
        if any(hold is not None and self._gate.is_wanted(hold) for hold in holds):
            self.end()

    def end(self) -> None:
        """Give everything back."""
        self.leave_address()
        if self._host_hold is not None:
            self._gate.release(self._host_hold)
        self._host = self._host_hold = None
