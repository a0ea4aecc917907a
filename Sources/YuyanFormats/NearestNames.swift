/// The names most like `name`, nearest first, for error messages.
///
/// Nearness is the Levenshtein distance over UTF-8 bytes; names that share nothing with `name` are
/// left out, and ties keep the order of `names`. Only the first 128 bytes of a name are compared,
/// so that a hostile file cannot make an error message slow.
///
/// - Parameters:
///   - name: What was asked for.
///   - names: What exists.
///   - limit: How many names to return at most.
public func nearestNames(
    to name: String, in names: some Sequence<String>, limit: Int = 3
) -> [String] {
    let wanted = Array(name.utf8.prefix(128))
    var best: [(distance: Int, name: String)] = []
    var row: [Int] = []
    for candidate in names {
        let bytes = Array(candidate.utf8.prefix(128))
        let distance = editDistance(wanted, bytes, &row)
        guard distance < max(wanted.count, bytes.count) || distance == 0 else { continue }
        let place = best.firstIndex { distance < $0.distance } ?? best.count
        guard place < limit else { continue }
        best.insert((distance, candidate), at: place)
        if best.count > limit { best.removeLast() }
    }
    return best.map(\.name)
}

/// The number of insertions, deletions and replacements of one byte that turn `a` into `b`.
private func editDistance(_ a: [UInt8], _ b: [UInt8], _ row: inout [Int]) -> Int {
    row.removeAll(keepingCapacity: true)
    row.append(contentsOf: 0...b.count)
    for i in a.indices {
        var diagonal = row[0]
        row[0] = i + 1
        for j in b.indices {
            let replaced = diagonal + (a[i] == b[j] ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, diagonal + 1, row[j] + 1)
        }
    }
    return row[b.count]
}
