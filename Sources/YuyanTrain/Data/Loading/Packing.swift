/// Puts samples into rows of a fixed length.
///
/// Best fit decreasing: the longest sample first, each into the fullest row that has room for it, a
/// new row if there is none. At most 11/9 of the fewest possible rows and two thirds of one more
/// (Johnson et al., "Worst-Case Performance Bounds for Simple One-Dimensional Packing Algorithms",
/// SIAM J. Comput. 3 (1974); Dósa, ESCAPE 2007). Ties go to the sample and the row that came first.
package enum Packing {
    /// The samples of each row, each ascending; rows in the order in which they were opened.
    ///
    /// - Precondition: No length is above `capacity`.
    package static func rows(_ lengths: [Int], capacity: Int) -> [[Int]] {
        let longestFirst = lengths.indices.sorted { a, b in
            (lengths[b], a) < (lengths[a], b)
        }
        var rows: [[Int]] = []
        // Rows by the room that is left in them: equal room keeps the order of opening.
        var open: [(room: Int, row: Int)] = []
        for sample in longestFirst {
            let length = lengths[sample]
            precondition(length <= capacity, "a sample of \(length) tokens in rows of \(capacity)")
            var place = open.partitionPoint { $0.room >= length }
            let row: (room: Int, row: Int)
            if place < open.count {
                row = open.remove(at: place)
                rows[row.row].append(sample)
            } else {
                row = (capacity, rows.count)
                rows.append([sample])
            }
            let left = (room: row.room - length, row: row.row)
            guard left.room > 0 else { continue }
            place = open.partitionPoint { ($0.room, $0.row) >= left }
            open.insert(left, at: place)
        }
        for index in rows.indices { rows[index].sort() }
        return rows
    }
}

extension Array {
    /// The first index whose element fulfils a condition that holds from there on.
    fileprivate func partitionPoint(_ condition: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if condition(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
