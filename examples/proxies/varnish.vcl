# A realtime app behind Varnish. To try it: start an app (`cargo run --release --bin showcase`), and beside it
#     varnishd -F -n /tmp/varnish -a 127.0.0.1:8080 -p pipe_timeout=75 -f "$PWD/examples/proxies/varnish.vcl"
# then open http://127.0.0.1:8080/. On a server take these lines over into /etc/varnish/default.vcl, and the parameter into
# the command of its service. TLS is left to whoever stands before Varnish.
vcl 4.1;

backend app {
    .host = "127.0.0.1";
    .port = "3000";
    .connect_timeout = 5s;
    # The longest silence: more than the heartbeat (15 s) and the longest wait of a long-poll (30 s). Of a WebSocket it is
    # the parameter pipe_timeout, which no VCL can set.
    .first_byte_timeout = 75s;
    .between_bytes_timeout = 75s;
}

sub vcl_recv {
    # In the place of whatever the client says, so that an app may believe it (Origins::trust_proxy). Host is passed on as
    # it came.
    set req.http.X-Forwarded-Host = req.http.Host;
    # What becomes another protocol is no request and answer any more.
    if (req.http.Upgrade) {
        return (pipe);
    }
    # A stream has no end by itself; without this Varnish ends it after ten minutes.
    set sess.send_timeout = 86400s;
    # Nothing is kept, and requests for the same URL do not wait for each other. What passes is handed on as it comes.
    # Narrow it to where events are (`req.url ~ "^/events"`) when the rest is to be cached.
    return (pass);
}

sub vcl_pipe {
    # Varnish leaves both out on its own.
    set bereq.http.Upgrade = req.http.Upgrade;
    set bereq.http.Connection = req.http.Connection;
}
