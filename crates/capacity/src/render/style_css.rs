//! How the page looks: light and dark, on a screen and on paper. No script, nothing loaded.

pub(super) const CSS: &str = "\
:root{--block:#cfe9d6;--bg:#fff;--fg:#1b1f24;--faint:#5c6570;--line:#d8dee4;--card:#f6f8fa;--free:#e6ebf0;--prefixes:#c3d9ef;--aws:#8c959f;\
--reserved:#c9b8e8;--node:#7a5c00;--pod:#0b6bcb;--warm:#8fc1f0;--leaked:#c4352b;--plane:#6f42c1;--foreign:#e08a1e;--bad:#c4352b;--soon:#b07d00;--good:#1a7f37}\
@media(prefers-color-scheme:dark){:root{--block:#1d4a2f;--bg:#0f1318;--fg:#e6edf3;--faint:#9aa5b1;--line:#2c343d;--card:#171c23;--free:#242c35;--prefixes:#2a4560;\
--aws:#6b7682;--reserved:#5b4a86;--node:#d9a90c;--pod:#4aa3ff;--warm:#1f4f80;--leaked:#ff6b5e;--plane:#b08cff;--foreign:#f0a64a;--bad:#ff6b5e;--soon:#e3b341;--good:#4ac26b}}\
*{box-sizing:border-box}body{margin:0;padding:24px;background:var(--bg);color:var(--fg);font:14px/1.45 system-ui,sans-serif}\
main{max-width:1240px;margin:0 auto}h1{font-size:20px;margin:0 0 2px}h2{font-size:16px;margin:28px 0 8px}h3{font-size:14px;margin:0 0 4px}\
p{margin:4px 0}.faint{color:var(--faint)}.big{font-size:17px;font-weight:600;margin:14px 0 6px}.bad{color:var(--bad)}.soon{color:var(--soon)}.good{color:var(--good)}\
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px;margin:0 0 14px;overflow-x:auto}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:3px 10px 3px 0;white-space:nowrap;border-bottom:1px solid var(--line);vertical-align:middle}\
th{color:var(--faint);font-weight:500;font-size:12px}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.w{white-space:normal;min-width:14ch}\
code{font:12px ui-monospace,monospace}.b{width:120px;height:10px;display:inline-block;vertical-align:middle;margin-right:8px}.b .f{fill:var(--free)}.b .h{fill:var(--warm)}.b .u{fill:var(--pod)}.b .x{fill:var(--bad)}\
.map{display:block;max-width:100%;height:auto}.o{fill:var(--block)}\
.c-free{fill:var(--free)}.c-free-for-prefixes{fill:var(--prefixes)}.c-aws{fill:var(--aws)}.c-reserved{fill:var(--reserved)}.c-node{fill:var(--node)}.c-pod{fill:var(--pod)}\
.c-warm{fill:var(--warm)}.c-leaked{fill:var(--leaked)}.c-control-plane{fill:var(--plane)}.c-foreign{fill:var(--foreign)}\
.key{display:flex;flex-wrap:wrap;gap:4px 16px;margin:6px 0 8px;font-size:12px}.key svg{width:11px;height:11px;margin-right:5px;vertical-align:-1px}\
.l0{fill:var(--free)}.l1{fill:var(--warm)}.l2{fill:var(--pod)}.l3{fill:var(--soon)}.l4{fill:var(--bad)}.lq{fill:none;stroke:var(--faint);stroke-dasharray:2}\
summary{cursor:pointer;font-weight:600;padding:4px 0}@media print{body{padding:0}.card{break-inside:avoid}}";
