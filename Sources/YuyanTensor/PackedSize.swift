import CYuyanKernels
import YuyanFormats

extension ElementType {
    /// The memory of a `PackedMatrix` of this type `[rows, columns]`, without making one.
    ///
    /// - Parameter doubleQuantized: Whether the scales of NF4 or FP4 are 8-bit numbers themselves.
    /// - Returns: Bytes, or nil if the type has no kernels or the size overflows.
    package func packedByteCount(
        rows: Int, columns: Int, doubleQuantized: Bool = false
    ) -> Int? {
        let panelFormat = doubleQuantized ? nestedPanelFormat : panelFormat
        guard let format = panelFormat, rows > 0, columns > 0, columns <= 1 << 40 else {
            return nil
        }
        let panels = (rows - 1) / Int(YK_PANEL) + 1
        let (bytes, overflow) = panels.multipliedReportingOverflow(
            by: yk_panel_layout_of(format, columns).bytes)
        return overflow ? nil : bytes
    }

    /// The kernel format of double-quantised weights of this type, if there is one.
    private var nestedPanelFormat: yk_format? {
        self == .nf4 ? YK_NF4_NESTED : self == .fp4 ? YK_FP4_NESTED : nil
    }
}

extension [TensorEntry] {
    /// The memory of a model of these tensors: matrices as panels, other numbers in four bytes each.
    package var packedByteCount: Int {
        reduce(0) { sum, tensor in
            let packed =
                tensor.shape.count == 2
                ? tensor.elementType.packedByteCount(
                    rows: tensor.shape[0], columns: tensor.shape[1]) : nil
            return sum + (packed ?? tensor.elementCount * 4)
        }
    }
}
