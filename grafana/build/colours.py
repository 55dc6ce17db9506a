"""What has which colour, everywhere: those of Okabe and Ito, which people with any colour vision can tell apart.

M. Okabe, K. Ito: Color Universal Design (CUD), https://jfly.uni-koeln.de/color/
"""

ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
RED = "#D55E00"
PINK = "#CC79A7"
GREY = "#8E8E8E"
#: Not of the eight, for one more that is needed.
PURPLE = "#7E5FBF"

#: Branches by their minor number: 4.7 and 4.6 are never alike, 4.7 is the same in every panel of every dashboard.
#: Eight in a row differ, and no more than eight are ever alive.
_BY_MINOR = (PINK, YELLOW, RED, PURPLE, ORANGE, GREEN, SKY, BLUE)
BRANCHES = {
    # What is older than 4.0 has been out of support for years: it is one thing, in one colour.
    r"/^[123]\..*/": GREY,
    "/^other$/": GREY,
    **{rf"/^4\.(?:{minor}|{minor + 8}|{minor + 16})$/": colour for minor, colour in enumerate(_BY_MINOR)},
    **{rf"/^5\.(?:{minor}|{minor + 8}|{minor + 16})$/": _BY_MINOR[(minor + 3) % 8] for minor in range(8)},
}
SUPPORT = {"main": PINK, "latest": BLUE, "previous": SKY, "deprecated": ORANGE, "eol": RED, "unknown": GREY}
PATCHED = {"patched": GREEN, "not patched": RED, "unknown": GREY}
CHANNELS = {"stable": BLUE, "rc": SKY, "beta": ORANGE, "alpha": PINK, "nightly": GREEN, "other": GREY}
SEVERITIES = {"critical": RED, "high": ORANGE, "medium": SKY, "low": GREY, "unknown": GREY}
RUNS = {"success": GREEN, "partial": ORANGE, "failed": RED, "interrupted": SKY}

#: A share of 0 to 1 that should be large: half is not enough, nine tenths is what we call done.
SHARE = ((None, RED), (0.5, ORANGE), (0.9, GREEN))
#: The same for a share that should be small.
SMALL_SHARE = ((None, GREEN), (0.05, ORANGE), (0.2, RED))
#: Nothing to say about how large it should be.
PLAIN = ((None, BLUE),)
