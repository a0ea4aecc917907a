// swift-format-ignore-file
// Written by Tools/embed_web.py from the files of the folder Web; change those.

/// A file of the page.
struct WebAsset: Sendable {
    let name: String
    let type: String
    let entityTag: String
    let text: String
}

/// The page's files, in the order of their names.
enum WebAssets {
    static let all: [WebAsset] = [
        WebAsset(
            name: "index.html", type: "text/html; charset=utf-8", entityTag: "\"59308d97536dc9a7\"",
            text: #"""
<!doctype html>
<title>Yuyan</title>

"""#),]

    static let names = all.map(\.name)
}
