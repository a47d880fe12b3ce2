"""Which neighbours become one token: the training that BPE and WordPiece share."""

import heapq
from collections import Counter, defaultdict
from itertools import pairwise


def learn(words, tokens, size, join, score=None, least=2):
    """Merge the best pair of neighbours, again and again, until there are `size` tokens (eq-bpe-length).

    words: {tuple of numbers: how often the word occurs}; tokens: their spellings, which grow; join(a, b): the spelling of the pair;
    score(n, n_a, n_b, total): what a pair is worth that occurs n times, its parts n_a and n_b times, all tokens `total` times; None: n.
    Of equally good pairs the one with the smaller numbers is first; pairs that occur less than `least` times stay apart.
    -> {pair: new number}, in order."""
    words, times = [list(word) for word in words], list(words.values())
    numbers = {token: i for i, token in enumerate(tokens)}
    pairs, parts, places, merges = Counter(), Counter(), defaultdict(set), {}
    heap, queued, total = [], {}, 0

    def count(place, sign):
        nonlocal total
        word, n = words[place], sign * times[place]
        total += n * len(word)
        for part in word:
            parts[part] += n
        for pair in pairwise(word):
            pairs[pair] += n
            places[pair].add(place)

    def worth(pair):
        n, (a, b) = pairs[pair], pair
        return n if score is None else score(n, parts[a], parts[b], total)

    def queue(pair):
        if pairs[pair] >= least and queued.get(pair) != (value := worth(pair)):
            queued[pair] = value
            heapq.heappush(heap, (-value, pair))

    for place in range(len(words)):
        count(place, +1)
    for pair in pairs:
        queue(pair)
    while heap and len(tokens) < size:
        value, pair = heapq.heappop(heap)
        if queued.get(pair) != -value:
            continue  # a newer entry took its place
        del queued[pair]
        if pairs[pair] < least or worth(pair) != -value:
            queue(pair)  # other merges made it worth less since then
            continue
        new = merges[pair] = numbers.setdefault(join(*(tokens[i] for i in pair)), len(tokens))
        if new == len(tokens):  # else two ways lead to one spelling
            tokens.append(join(*(tokens[i] for i in pair)))
        changed = set()
        for place in places.pop(pair):  # only these words are counted again
            count(place, -1)
            words[place] = merge(words[place], pair, new)
            count(place, +1)
            changed.update(p for p in pairwise(words[place]) if new in p)
        if score is not None:  # its parts are rarer now, so their other pairs are worth more
            changed.update(p for p in pairs if pair[0] in p or pair[1] in p)
        for p in changed:
            queue(p)
    return merges


def merge(ids, pair, new):
    """Put `new` in the place of every `pair`, from the left."""
    result, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            result.append(new)
            i += 2
        else:
            result.append(ids[i])
            i += 1
    return result
