// A host for views: the client and the bridge are those of the extension's own package.
import { AppBridge, PostMessageTransport, getToolUiResourceUri } from "@modelcontextprotocol/ext-apps/app-bridge";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

// What a host has to enforce where a view names no other host, and that no text becomes code.
const POLICY = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
  + "img-src 'self' data:; media-src 'self' data:; connect-src 'none'; frame-src 'none'; object-src 'none'; "
  + "base-uri 'self'; require-trusted-types-for 'script'; trusted-types 'none'";
const MIME_TYPE = "text/html;profile=mcp-app";
const NAME = { name: "host", version: "0" };

const { server, token, sandbox } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const client = new Client(NAME, {
  capabilities: { extensions: { "io.modelcontextprotocol/ui": { mimeTypes: [MIME_TYPE] } } },
});
const requestInit = { headers: { Authorization: `Bearer ${token}` } };
const connected = client.connect(new StreamableHTTPClientTransport(new URL(server), { requestInit }));

window.opened = [];

/** Calls a tool and shows its view; `told` takes the place of the result, `context` is the host's. */
window.show = async (name, given, { told, context = {}, can = { openLinks: {}, serverTools: {} } } = {}) => {
  await connected;
  const { tools } = await client.listTools();
  const tool = tools.find((each) => each.name === name);
  const uri = getToolUiResourceUri(tool);
  const { contents: [{ text, mimeType }] } = await client.readResource({ uri });
  if (mimeType !== MIME_TYPE) throw new Error(mimeType);
  const result = told ?? await client.callTool({ name, arguments: given });

  const frame = document.createElement("iframe");
  frame.src = sandbox;
  document.body.replaceChildren(frame);
  const bridge = new AppBridge(client, NAME, can, { hostContext: { toolInfo: { tool }, ...context } });
  bridge.onsizechange = ({ height }) => { frame.style.height = `${height}px`; };
  bridge.onopenlink = async ({ url }) => { window.opened.push(url); return {}; };
  const html = text.replace("<head>", `<head><meta http-equiv="Content-Security-Policy" content="${POLICY}">`);
  bridge.onsandboxready = () => bridge.sendSandboxResourceReady({ html });
  const initialized = new Promise((resolve) => { bridge.oninitialized = resolve; });
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  await initialized;
  await bridge.sendToolInput({ arguments: given });
  await bridge.sendToolResult(result);
  window.bridge = bridge;
};
window.connected = connected;
