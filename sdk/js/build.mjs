#!/usr/bin/env node
// Builds a plugin:  pelton-build PLUGIN.js OUT.wasm
//
// The world is made of what the plugin exports and imports, so that it is granted no more than it uses: an interceptor
// that does not import state.js has no state, and its batches need not wait for one another.
import { componentize } from "componentize-qjs";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile, copyFile, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [source, out] = process.argv.slice(2);
if (!source || !out) {
  console.error("usage: pelton-build PLUGIN.js OUT.wasm");
  process.exit(2);
}

/** The plugin's files, as one text: its own, and the SDK's that they import. */
async function gather(file, seen) {
  if (seen.has(file)) return;
  const text = await readFile(file, "utf8");
  seen.set(file, text);
  for (const [, name] of text.matchAll(/^\s*(?:import|export)\b[^"';]*["']([^"']+)["']/gm)) {
    if (name.startsWith(".")) await gather(resolve(dirname(file), name), seen);
    else if (name.startsWith("pelton-sdk/")) await gather(join(here, name.slice("pelton-sdk/".length)), seen);
    else if (name === "pelton-sdk") await gather(join(here, "pelton.js"), seen);
  }
}

const files = new Map();
await gather(resolve(source), files);
const text = [...files.values()].join("\n");
const worlds = ["interceptor", "partitioner", "transform"].filter((world) =>
  new RegExp(`^export (?:const|let|var) ${world}\\b`, "m").test(files.get(resolve(source))),
);
if (worlds.length !== 1) {
  console.error(`${source} must export one of: interceptor, partitioner, transform (found: ${worlds.join(", ") || "none"})`);
  process.exit(1);
}
const imports = new Set([...text.matchAll(/["']pelton:plugin\/([a-z]+)@/g)].map(([, name]) => name));

const work = await mkdtemp(join(tmpdir(), "pelton-build-"));
try {
  const wit = join(work, "wit");
  await mkdir(wit);
  // In the repository the contract lies beside this folder, in a project of its own within it.
  const contract = [join(here, "wit/plugin.wit"), join(here, "../wit/plugin.wit")].find(existsSync);
  const world = ["world built {", ...[...imports].map((name) => `    import ${name};`), `    export ${worlds[0]};`, "}"];
  await writeFile(join(wit, "plugin.wit"), `${await readFile(contract, "utf8")}\n${world.join("\n")}\n`);
  // The SDK and the plugin side by side, whatever the plugin's package manager has made of them.
  const entry = join(work, "plugin.js");
  const sdk = ["pelton.js", "log.js", "metrics.js", "state.js", "emit.js", "clock.js", "random.js"];
  for (const name of sdk) await copyFile(join(here, name), join(work, name));
  const local = (name) => name.replace(/(["'])pelton-sdk(?:\/([a-z]+\.js))?\1/g, (_, q, file) => `${q}./${file ?? "pelton.js"}${q}`);
  await writeFile(entry, local(files.get(resolve(source))));
  for (const [file, body] of files) {
    if (file !== resolve(source) && dirname(file) === dirname(resolve(source))) {
      await writeFile(join(work, file.slice(dirname(file).length + 1)), local(body));
    }
  }
  const built = await componentize({
    witPath: wit,
    jsSource: await readFile(entry, "utf8"),
    jsPath: entry,
    moduleRoot: work,
    world: "built",
    stubWasi: true,
    sync: true,
  });
  const component = built.component;
  await mkdir(dirname(resolve(out)), { recursive: true });
  await writeFile(out, component);
  console.error(`built ${out} (${component.length} bytes): ${worlds[0]}, granted: ${[...imports].join(", ") || "nothing"}`);
} finally {
  await rm(work, { recursive: true, force: true });
}
