// Compile a .ksy to JavaScript and Python, then read every frame with the JavaScript one.
//
//     node kaitai_reader.cjs FRAME.ksy FOLDER < frames, a hex line each
//
// Writes event_protocol_frame.py into FOLDER, and one line for each frame: "read" or "refused".

const fs = require("fs");
const path = require("path");
const yaml = require("js-yaml");
const compiler = require("kaitai-struct-compiler");
const KaitaiStream = require("kaitai-struct/KaitaiStream");

async function main([file, folder]) {
  const description = yaml.load(fs.readFileSync(file, "utf8"));
  for (const language of ["javascript", "python"]) {
    const made = await compiler.compile(language, description, null, false);
    for (const [name, text] of Object.entries(made)) fs.writeFileSync(path.join(folder, name), text);
  }
  const module_ = require(path.join(folder, "EventProtocolFrame.js"));
  const Frame = module_.EventProtocolFrame || module_;
  for (const line of fs.readFileSync(0, "utf8").split("\n").filter(Boolean)) {
    const stream = new KaitaiStream(Buffer.from(line, "hex"));
    let verdict = "read";
    try {
      new Frame(stream);
      if (!stream.isEof()) verdict = "refused";
    } catch (error) {
      verdict = "refused";
    }
    console.log(verdict);
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
