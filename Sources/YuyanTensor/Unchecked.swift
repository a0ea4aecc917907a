/// Carries a pointer into the closure of a parallel loop.
///
/// Unchecked: every use writes disjoint ranges per index and ends before the loop returns.
struct Unchecked<Value>: @unchecked Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }
}
