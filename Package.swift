// swift-tools-version: 6.2
import PackageDescription

// The layer table: who may import whom. Anything else is an error, because `make` builds with
// `--explicit-target-dependency-import-check error`.
let layers: [(name: String, imports: [String], products: [Target.Dependency])] = [
    ("YuyanFormats", [], []),
    ("YuyanTensor", ["CYuyanKernels", "YuyanFormats"], []),
    ("YuyanText", ["YuyanFormats"], []),
    ("YuyanNN", ["YuyanTensor", "YuyanFormats"], []),
    ("YuyanModels", ["YuyanNN", "YuyanTensor", "YuyanFormats"], []),
    ("YuyanConstraints", ["YuyanFormats"], []),
    (
        "YuyanEngine",
        ["YuyanConstraints", "YuyanModels", "YuyanNN", "YuyanTensor", "YuyanFormats"],
        []
    ),
    (
        "YuyanTrain",
        [
            "YuyanEngine", "YuyanConstraints", "YuyanModels", "YuyanNN", "YuyanText",
            "YuyanTensor", "YuyanFormats",
        ],
        []
    ),
    (
        "YuyanServe",
        [
            "YuyanEngine", "YuyanConstraints", "YuyanModels", "YuyanNN", "YuyanText",
            "YuyanTensor", "YuyanFormats",
        ],
        [
            .product(name: "HummingbirdCore", package: "hummingbird"),
            .product(name: "HummingbirdTLS", package: "hummingbird"),
            .product(name: "Logging", package: "swift-log"),
            .product(name: "NIOCore", package: "swift-nio"),
            .product(name: "NIOHTTP1", package: "swift-nio"),
            .product(name: "NIOPosix", package: "swift-nio"),
            .product(name: "NIOSSL", package: "swift-nio-ssl"),
        ]
    ),
]

let commandImports = layers.map(\.name)
let argumentParser: Target.Dependency =
    .product(name: "ArgumentParser", package: "swift-argument-parser")
// Tests see internals. `make test` asks for that in the folder of the release build, so that the
// packages below are built once for both; nobody else gets the flag.
let testable: [SwiftSetting] =
    Context.environment["YUYAN_TESTABLE"] == nil ? [] : [.unsafeFlags(["-enable-testing"])]
let settings: [SwiftSetting] =
    [
        .treatAllWarnings(as: .error),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ] + testable

func dependencies(_ names: [String]) -> [Target.Dependency] { names.map { .target(name: $0) } }

let package = Package(
    name: "yuyan",
    products: [
        .executable(name: "yuyan", targets: ["yuyan"]),
        .library(name: "Yuyan", targets: layers.map(\.name)),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        // Without its traits Hummingbird does without Foundation, which would slow every start.
        .package(
            url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    ],
    targets: [
        .target(name: "CYuyanKernels", cSettings: [.treatAllWarnings(as: .error)]),
        .executableTarget(
            name: "yuyan",
            dependencies: dependencies(commandImports) + [argumentParser],
            swiftSettings: settings),
        .target(
            name: "TestSupport",
            dependencies: dependencies(["YuyanFormats"]),
            path: "Tests/TestSupport",
            swiftSettings: settings),
        .testTarget(
            name: "YuyanCommandTests",
            dependencies: dependencies(commandImports + ["yuyan", "TestSupport"])
                + [argumentParser],
            swiftSettings: settings),
    ]
        + layers.map {
            .target(
                name: $0.name, dependencies: dependencies($0.imports) + $0.products,
                // The page's files, which Tools/embed_web.py turns into Swift.
                exclude: $0.name == "YuyanServe" ? ["Web"] : [], swiftSettings: settings)
        }
        + layers.map {
            .testTarget(
                name: $0.name + "Tests",
                dependencies: dependencies([$0.name] + $0.imports + ["TestSupport"])
                    + $0.products,
                swiftSettings: settings)
        },
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c11
)
