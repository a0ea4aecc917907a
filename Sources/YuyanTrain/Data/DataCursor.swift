import YuyanFormats

/// A place in the endless stream of batches: all that resuming needs.
///
/// The stream is a pure function of the files, the options and the seed, so going on from a cursor
/// gives the very batches that the uninterrupted run would have had.
package struct DataCursor: Sendable, Hashable {
    /// Times that all rows were seen.
    package var epoch: Int
    /// Place in this epoch's order of the first row that is not done.
    package var index: Int
    /// Samples, or packed rows, already taken from the rows at `index`.
    package var offset: Int

    package init(epoch: Int = 0, index: Int = 0, offset: Int = 0) {
        self.epoch = epoch
        self.index = index
        self.offset = offset
    }

    /// The cursor as checkpoints store it.
    package var json: JSONOutput {
        ["epoch": .integer(epoch), "index": .integer(index), "offset": .integer(offset)]
    }

    /// Reads a cursor from a checkpoint.
    ///
    /// - Throws: `FormatError` naming the key.
    package init(json: JSONCursor) throws(FormatError) {
        self.init(
            epoch: try json.int("epoch"), index: try json.int("index"),
            offset: try json.int("offset"))
    }
}
