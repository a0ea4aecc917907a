/// Builds the bytes of a safetensors file around any header text.
package struct SafetensorsImage: Sendable {
    package var header: String
    package var data: [UInt8]
    /// Replaces the length of the header.
    package var claimedLength: UInt64?

    package init(_ header: String, data: [UInt8]) {
        self.header = header
        self.data = data
    }

    package var bytes: [UInt8] {
        let text = Array(header.utf8)
        return little(claimedLength ?? UInt64(text.count)) + text + data
    }

    /// Two small tensors, an empty one, metadata and padding.
    package static let sample = SafetensorsImage(
        #"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,2],"data_offsets":[6,22]},"#
            + #""a":{"dtype":"I16","shape":[3],"data_offsets":[0,6]},"#
            + #""empty":{"dtype":"U8","shape":[0,7],"data_offsets":[22,22]}}   "#,
        data: (0..<22).map { UInt8($0) })
}
