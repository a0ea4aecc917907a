"""Reference numbers for CounterRandom, written from the paper with Python's integers.

Run from the root of the repository: python Tools/goldens/sampling_random.py
Writes Tests/Goldens/sampling/random.txt, a line for each draw:
  seed stream position word word word word normal    (words in hexadecimal, normal in decimal)
Checks itself against the known answers of the authors' library first.
"""
import math
import random
from pathlib import Path

MASK = 0xFFFFFFFF


def philox(counter, key, rounds=10):
    for step in range(rounds):
        round_key = [(key[0] + step * 0x9E3779B9) & MASK, (key[1] + step * 0xBB67AE85) & MASK]
        a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(b >> 32) ^ counter[1] ^ round_key[0], b & MASK,
                   (a >> 32) ^ counter[3] ^ round_key[1], a & MASK]
    return counter


assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
assert philox([MASK] * 4, [MASK] * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
assert philox([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0]) == [
    0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]

rng = random.Random(3)
out = Path(__file__).resolve().parents[2] / "Tests/Goldens/sampling/random.txt"
lines = []
for case in range(400):
    size = rng.choice([4, 33, 64])
    seed, stream, position = (rng.getrandbits(size) for _ in range(3))
    w = philox([position & MASK, position >> 32, stream & MASK, stream >> 32],
               [seed & MASK, seed >> 32])
    u = (((w[1] << 32 | w[0]) >> 11) + 1) * 2.0**-53
    v = ((w[3] << 32 | w[2]) >> 11) * 2.0**-53
    normal = math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)
    lines.append(f"{seed} {stream} {position} " + " ".join(f"{x:08x}" for x in w) + f" {normal!r}")
out.write_text("\n".join(lines) + "\n")
