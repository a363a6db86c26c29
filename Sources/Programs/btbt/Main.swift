import CommandLine

@main
struct Main {
    static func main() { FrontEnd.main(Btbt.self) }
}
