// Writes the files of a folder as a C++ source: embed.js FOLDER OUT.cc (dashboard/assets.h).
import fs from 'node:fs';
import path from 'node:path';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

// Octal escapes always have three digits here, so that no digit that follows can belong to one.
function literal(bytes) {
  let line = '';
  const lines = [];
  for (const byte of bytes) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c && byte !== 0x3f;
    line += plain ? String.fromCharCode(byte) : '\\' + byte.toString(8).padStart(3, '0');
    if (line.length > 100) {
      lines.push(`    "${line}"`);
      line = '';
    }
  }
  lines.push(`    "${line}"`);
  return lines.join('\n');
}

const [folder, out] = process.argv.slice(2);
const files = fs
  .readdirSync(folder, { recursive: true })
  .map(String)
  .filter((name) => fs.statSync(path.join(folder, name)).isFile())
  .sort();
let text = '// Made by dashboard/frontend/embed.js.\n#include <array>\n\n#include "dashboard/assets.h"\n\n';
text += 'namespace paddock::dashboard {\nnamespace {\n\nusing namespace std::string_view_literals;\n\n';
text += `constexpr std::array<Asset, ${files.length}> kAssets{{\n`;
for (const name of files) {
  const type = TYPES[path.extname(name)];
  if (!type) throw new Error(`${name}: no content type is known for it`);
  text += `    {"/${name}"sv, "${type}"sv,\n${literal(fs.readFileSync(path.join(folder, name)))}sv},\n`;
}
text += '}};\n\n}  // namespace\n\nstd::span<const Asset> assets() {\n  return kAssets;\n}\n\n}  // namespace paddock::dashboard\n';
fs.writeFileSync(out, text);
