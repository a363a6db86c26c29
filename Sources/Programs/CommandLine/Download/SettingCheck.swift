import Settings

/// Refuses a wrong `--set` before anything is started, with the registry's own words.
enum SettingCheck {
    /// The environment variable of an option, once its value is known to fit.
    static func variable(key: String, value: String) throws -> String {
        var settings = Settings()
        do { try settings.set(key, .untyped(value), place: "--set") } catch {
            throw Failure(.configuration, error.description)
        }
        return OptionTable.find(key)!.environmentName
    }
}
