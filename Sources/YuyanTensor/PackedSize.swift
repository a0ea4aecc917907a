import CYuyanKernels
import YuyanFormats

extension ElementType {
    /// The memory of a `PackedMatrix` of this type `[rows, columns]`, without making one.
    ///
    /// - Returns: Bytes, or nil if the type has no kernels or the size overflows.
    package func packedByteCount(rows: Int, columns: Int) -> Int? {
        guard let format = panelFormat, rows > 0, columns > 0, columns <= 1 << 40 else {
            return nil
        }
        let panels = (rows - 1) / Int(YK_PANEL) + 1
        let (bytes, overflow) = panels.multipliedReportingOverflow(
            by: yk_panel_layout_of(format, columns).bytes)
        return overflow ? nil : bytes
    }
}
