// What this generator of websocket-bench does:
//
//     module.exports = {
//         beforeConnect: function (client) { client.nick = "bot" + Math.random(); },
//         onConnect: function (client, done) { client.emit("join", { nick: client.nick }); done(); },
//         sendMessage: function (client, done) { client.emit("chat", { text: "hi" }, function () { done(); }); }
//     };

// beforeConnect: whatever stands outside the hooks. conn is unique over all hosts, which Math.random() never was
client.nick = "bot" + client.conn;

// onConnect: there is no done(), whoever throws or calls client.fail() has failed
function on_connect(client) {
    client.emit("join", { nick: client.nick });
}

// sendMessage: -m is the playbook's to say; the ack is awaited and timed
function next_message(client) {
    client.emitWithAck("chat", { text: "hi" });
}
