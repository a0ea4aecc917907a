import YuyanNN

/// Low-rank adapters that requests choose by name.
public protocol AdapterRegistry: Sendable {
    /// Makes the adapter of a PEFT directory available under a name.
    ///
    /// - Throws: If the directory holds no adapter that fits the model, or the name is taken.
    func register(name: String, directory: String) throws
    /// Forgets a name; requests that run with the adapter keep it.
    ///
    /// - Throws: If the name is unknown.
    func unregister(name: String) throws
    /// The adapter of a name, loaded if it is not in memory.
    ///
    /// - Throws: If the name is unknown or the adapter cannot be loaded.
    func adapter(named name: String) throws -> LowRankAdapter
    /// Names and directories, in order of registration.
    var registered: [(name: String, directory: String)] { get }
}
