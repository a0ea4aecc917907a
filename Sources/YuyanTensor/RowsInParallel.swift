/// Computes one value for each row over the device's threads; row `i` is element `i`.
package func rowsInParallel<Value: BitwiseCopyable>(
    _ count: Int, on device: Device, _ body: (Int) -> Value
) -> [Value] {
    [Value](unsafeUninitializedCapacity: count) { buffer, initialized in
        let slots = buffer
        device.pool.parallel(count) { row, _ in slots.initializeElement(at: row, to: body(row)) }
        initialized = count
    }
}
