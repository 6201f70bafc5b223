//! The configuration of CoreDNS, as its own parser reads it.
//!
//! Source: the Caddyfile grammar that <https://coredns.io/manual/configuration/> describes: server blocks of
//! zones, a plugin a line, options in braces, `(name)` for snippets and `import name` for their use.

use std::collections::BTreeMap;

use crate::kubernetes::ConfigMap;

/// A Corefile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corefile {
    /// Server blocks, in order.
    pub blocks: Vec<ServerBlock>,
    /// Why it cannot be parsed, with the number of the line.
    pub broken: Option<(usize, String)>,
    /// Names of files or snippets that are imported and not in the text.
    pub imports: Vec<String>,
}

/// A server block: zones, and the plugins that serve them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerBlock {
    /// Zones without port and scheme, as written; `.` is the root.
    pub zones: Vec<String>,
    /// Plugins, in order.
    pub plugins: Vec<Plugin>,
}

/// A line of a server block: a plugin with its arguments and options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plugin {
    /// Name.
    pub name: String,
    /// Number of its line, from 1.
    pub line: usize,
    /// Arguments.
    pub args: Vec<String>,
    /// Lines of its own block, in words.
    pub options: Vec<Vec<String>>,
}

impl Corefile {
    /// The Corefile of CoreDNS among config maps; `None` where it is not there.
    #[must_use]
    pub fn of(maps: &[ConfigMap]) -> Option<Self> {
        Self::in_map(maps, "coredns")
    }

    /// The Corefile in the config map of that name in `kube-system`.
    #[must_use]
    pub fn in_map(maps: &[ConfigMap], name: &str) -> Option<Self> {
        let map = maps
            .iter()
            .find(|map| map.metadata.namespace == "kube-system" && map.metadata.name == name)?;
        map.data.get("Corefile").map(|text| Self::parse(text))
    }

    /// Reads a Corefile; what cannot be read ends it, and is said in [`Self::broken`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut reader = Reader::default();
        for (at, line) in text.lines().enumerate() {
            if let Err(why) = reader.line(at + 1, &words(line)) {
                reader.found.broken = Some((at + 1, why));
                break;
            }
        }
        reader.finish(text.lines().count())
    }

    /// The plugins of that name, in any block.
    pub fn plugins<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c Plugin> {
        self.blocks
            .iter()
            .flat_map(|block| &block.plugins)
            .filter(move |plugin| plugin.name == name)
    }

    /// The block that serves the root, and so every name that no other block takes.
    #[must_use]
    pub fn root(&self) -> Option<&ServerBlock> {
        self.blocks
            .iter()
            .find(|block| block.zones.iter().any(|zone| zone == "."))
    }

    /// Zones of the cluster: the arguments of `kubernetes` that are no reverse zones, without end dot.
    #[must_use]
    pub fn cluster_domains(&self) -> Vec<&str> {
        self.plugins("kubernetes")
            .flat_map(|plugin| &plugin.args)
            .map(|zone| zone.trim_end_matches('.'))
            .filter(|zone| !zone.ends_with(".arpa"))
            .collect()
    }
}

impl ServerBlock {
    /// Whether a plugin is in use.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.plugins.iter().any(|plugin| plugin.name == name)
    }

    /// Where names of `zone` are forwarded to: arguments of `forward` (and of `proxy`, its forerunner)
    /// behind the zone.
    #[must_use]
    pub fn upstreams(&self, zone: &str) -> Vec<(&Plugin, &str)> {
        self.plugins
            .iter()
            .filter(|plugin| matches!(plugin.name.as_str(), "forward" | "proxy"))
            .filter(|plugin| plugin.args.first().is_some_and(|from| from == zone))
            .flat_map(|plugin| plugin.args[1..].iter().map(move |to| (plugin, to.as_str())))
            .collect()
    }
}

impl Plugin {
    /// The option of that name: its words behind the name.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&[String]> {
        self.options
            .iter()
            .find(|words| words.first().is_some_and(|first| first == name))
            .map(|words| &words[1..])
    }
}

/// Address in an upstream such as `tls://10.0.0.2:853` or `[fd00::a]:53`.
#[must_use]
pub fn upstream_ip(upstream: &str) -> Option<std::net::IpAddr> {
    let bare = upstream
        .split_once("://")
        .map_or(upstream, |(_, rest)| rest);
    let bare = bare.split('%').next().unwrap_or(bare);
    if let Ok(ip) = bare.parse() {
        return Some(ip);
    }
    let host = bare.rsplit_once(':').map_or(bare, |(host, _)| host);
    host.trim_matches(['[', ']']).parse().ok()
}

/// Words of a line: quotes hold spaces, `#` begins a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut any) = (false, false);
    for character in line.chars() {
        match character {
            '"' => {
                quoted = !quoted;
                any = true;
            }
            '#' if !quoted && !any => break,
            c if c.is_whitespace() && !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                    any = false;
                }
            }
            c => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words
}

/// What is open while lines are read.
#[derive(Default)]
struct Reader {
    found: Corefile,
    snippets: BTreeMap<String, Vec<Plugin>>,
    /// Keys of a block that is not open yet.
    keys: Vec<String>,
    block: Option<(Vec<String>, ServerBlock)>,
    plugin: Option<Plugin>,
    /// Braces that are open inside of the plugin's block.
    inner: usize,
}

impl Reader {
    fn line(&mut self, at: usize, words: &[String]) -> Result<(), String> {
        let Some(first) = words.first() else {
            return Ok(());
        };
        let opens = words.last().is_some_and(|last| last == "{");
        let closes = first == "}";
        if let Some(plugin) = &mut self.plugin {
            if closes {
                if self.inner > 0 {
                    self.inner -= 1;
                    return Ok(());
                }
                let plugin = self.plugin.take().unwrap_or_default();
                self.add(plugin);
                return Ok(());
            }
            self.inner += usize::from(opens);
            plugin.options.push(words.to_vec());
            return Ok(());
        }
        if self.block.is_some() {
            if closes {
                self.close();
                return Ok(());
            }
            if first == "{" {
                return Err("Unexpected '{'".to_owned());
            }
            let count = words.len() - usize::from(opens);
            let plugin = Plugin {
                name: first.clone(),
                line: at,
                args: words[1..count].to_vec(),
                options: Vec::new(),
            };
            if opens {
                self.plugin = Some(plugin);
            } else {
                self.add(plugin);
            }
            return Ok(());
        }
        if closes {
            return Err("Unexpected '}'".to_owned());
        }
        let keys = words.iter().filter(|word| *word != "{");
        self.keys.extend(
            keys.flat_map(|word| word.split(','))
                .filter(|key| !key.is_empty())
                .map(str::to_owned),
        );
        if opens {
            let keys = std::mem::take(&mut self.keys);
            let zones = keys.iter().map(|key| zone_of(key)).collect();
            self.block = Some((
                keys,
                ServerBlock {
                    zones,
                    plugins: Vec::new(),
                },
            ));
        } else if self.keys.first().is_some_and(|key| key == "import") {
            self.found.imports.extend(self.keys.drain(..).skip(1));
        }
        Ok(())
    }

    fn add(&mut self, plugin: Plugin) {
        let Some((_, block)) = &mut self.block else {
            return;
        };
        if plugin.name != "import" {
            block.plugins.push(plugin);
            return;
        }
        for name in plugin.args {
            match self.snippets.get(&name) {
                Some(plugins) => block.plugins.extend(plugins.iter().cloned()),
                None => self.found.imports.push(name),
            }
        }
    }

    fn close(&mut self) {
        let Some((keys, block)) = self.block.take() else {
            return;
        };
        let snippet = keys
            .first()
            .and_then(|key| key.strip_prefix('(')?.strip_suffix(')'));
        match snippet {
            Some(name) => {
                self.snippets.insert(name.to_owned(), block.plugins);
            }
            None => self.found.blocks.push(block),
        }
    }

    fn finish(mut self, lines: usize) -> Corefile {
        if self.found.broken.is_none() && (self.plugin.is_some() || self.block.is_some()) {
            self.found.broken = Some((lines, "a brace is not closed".to_owned()));
        }
        if let Some(plugin) = self.plugin.take() {
            self.add(plugin);
        }
        self.close();
        self.found
    }
}

/// The zone in a key such as `dns://.:53`, `example.com:1053` or `cluster.local`.
fn zone_of(key: &str) -> String {
    let bare = key.split_once("://").map_or(key, |(_, rest)| rest);
    let zone = match bare.rsplit_once(':') {
        Some((zone, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => zone,
        _ => bare,
    };
    if zone.is_empty() { "." } else { zone }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = ".:53 {\n    errors\n    health {\n        lameduck 5s\n    }\n    ready\n    kubernetes cluster.local in-addr.arpa ip6.arpa {\n      pods insecure\n      fallthrough in-addr.arpa ip6.arpa\n    }\n    prometheus :9153\n    forward . /etc/resolv.conf\n    cache 30\n    loop\n    reload # every 30 s\n    loadbalance\n}\n";

    #[test]
    fn the_file_of_the_add_on_is_read() {
        let file = Corefile::parse(DEFAULT);
        assert_eq!(file.broken, None);
        assert_eq!(file.cluster_domains(), ["cluster.local"]);
        let root = file.root().expect("a block for the root");
        assert!(root.has("reload") && !root.has("log"));
        let upstreams: Vec<&str> = root.upstreams(".").iter().map(|(_, to)| *to).collect();
        assert_eq!(upstreams, ["/etc/resolv.conf"]);
        let kubernetes = file.plugins("kubernetes").next().expect("a plugin");
        assert_eq!(
            kubernetes.option("pods"),
            Some(&["insecure".to_owned()][..])
        );
    }

    #[test]
    fn snippets_are_put_in_and_imports_of_files_are_named() {
        let file = Corefile::parse(
            "(common) {\n  errors\n  loop\n}\ncorp.example. example.org:53 {\n  import common\n  import custom/*.override\n  forward . 10.1.0.2 10.1.1.2:5353\n}\n",
        );
        assert_eq!(file.blocks.len(), 1);
        assert_eq!(file.blocks[0].zones, ["corp.example.", "example.org"]);
        assert!(file.blocks[0].has("loop"));
        assert_eq!(file.imports, ["custom/*.override"]);
        assert_eq!(file.root(), None);
    }

    #[test]
    fn what_is_not_closed_or_closed_twice_is_broken() {
        assert!(Corefile::parse(".:53 {\n errors\n").broken.is_some());
        let twice = Corefile::parse(".:53 {\n errors\n}\n}\n");
        assert_eq!(twice.broken, Some((4, "Unexpected '}'".to_owned())));
    }

    #[test]
    fn addresses_of_upstreams_are_read_in_every_spelling() {
        for (text, ip) in [
            ("10.0.0.2", "10.0.0.2"),
            ("10.0.0.2:53", "10.0.0.2"),
            ("tls://9.9.9.9:853", "9.9.9.9"),
            ("[fd00::a]:53", "fd00::a"),
        ] {
            assert_eq!(upstream_ip(text), ip.parse().ok(), "{text}");
        }
        assert_eq!(upstream_ip("/etc/resolv.conf"), None);
    }
}
