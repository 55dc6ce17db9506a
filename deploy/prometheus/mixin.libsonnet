// rules.yaml for those who put their monitoring together with jsonnet:
//
//   (import 'vmcrawl/deploy/prometheus/mixin.libsonnet') { _config+:: { selector: 'job="mastodon/vmcrawl"' } }
//
// Tried with jsonnet 0.22. 0.18 (Debian 12) aborts in std.parseYaml.
local groups = std.parseYaml(importstr 'rules.yaml').groups;

{
  local config = self._config,

  _config+:: {
    // What all selectors begin with.
    selector: 'job="vmcrawl"',
    // Where the runbooks are; the name of the alert and .md follow.
    runbooks: 'https://github.com/vmcrawl/vmcrawl/blob/main/deploy/runbooks/',
  },

  local adapted(rule) = rule {
    expr: std.strReplace(super.expr, 'job="vmcrawl"', config.selector),
    [if 'alert' in rule then 'annotations']+: { runbook_url: config.runbooks + rule.alert + '.md' },
  },
  local group(name) = [
    g { rules: std.map(adapted, g.rules) }
    for g in groups
    if g.name == name
  ],

  prometheusRules+:: { groups+: group('vmcrawl.rules') },
  prometheusAlerts+:: { groups+: group('vmcrawl.alerts') },
}
