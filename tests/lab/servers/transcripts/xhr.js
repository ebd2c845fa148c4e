// Owns: what a browser's XMLHttpRequest has and that of Node's client lacks: a binary answer. With it the client of
// Engine.IO 3 takes application/octet-stream instead of base64. Must not: know Engine.IO.
'use strict';
const http = require('node:http');

module.exports = class {
  constructor() {
    Object.assign(this, { responseType: '', readyState: 0, status: 0, headers: {} });
  }

  open(method, uri) {
    Object.assign(this, { method, uri });
  }

  setRequestHeader(name, value) {
    this.headers[name] = value;
  }

  getResponseHeader(name) {
    return this.answer.headers[name.toLowerCase()];
  }

  send(data) {
    const bytes = data == null ? undefined : Buffer.from(data);
    this.request = http.request(this.uri, { method: this.method, headers: this.headers, agent: false }, (answer) => {
      this.answer = answer;
      this.status = answer.statusCode;
      this.step(2);
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => {
        const whole = Buffer.concat(parts);
        if (this.responseType === 'arraybuffer') this.response = whole; // as Node's parser takes it
        else this.responseText = whole.toString('utf8');
        this.step(4);
      });
    });
    this.request.on('error', () => this.step(4));
    if (bytes) this.request.setHeader('content-length', bytes.length);
    this.request.end(bytes);
  }

  step(state) {
    this.readyState = state;
    this.onreadystatechange?.();
  }

  abort() {
    this.request?.destroy();
  }
};
