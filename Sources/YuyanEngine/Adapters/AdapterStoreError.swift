/// A request to the adapter store that it refuses.
public enum AdapterStoreError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No adapter has this name; `known` holds the names there are, nearest first.
    case unknown(name: String, known: [String])
    /// The name is taken.
    case duplicate(name: String, directory: String)
    /// The name is not one that requests and logs could carry.
    case badName(String)

    /// What is wrong and what to do instead.
    public var description: String {
        switch self {
        case .unknown(let name, let known):
            "no adapter is called '\(name)'; "
                + (known.isEmpty
                    ? "none is registered" : "there are: \(known.joined(separator: ", "))")
        case .duplicate(let name, let directory):
            "an adapter called '\(name)' is registered already, from \(directory); "
                + "unregister it first, or choose another name"
        case .badName(let name):
            "'\(name)' is no name for an adapter; use 1 to \(AdapterStore.longestName) letters, "
                + "digits and any of . _ - : / that begin with a letter or digit"
        }
    }
}
