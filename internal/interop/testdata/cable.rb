# ruby cable.rb URL: Action Cable with its Redis adapter, as a Rails application runs
# it for WebSockets. It subscribes to /sse/test, and for each line on standard input
# broadcasts that text to it and prints what broadcast returned.
require "logger"
require "json"
require "active_support/all"
require "action_cable"

$stdout.sync = true
server = ActionCable.server
server.config.logger = Logger.new($stderr)
server.config.cable = { "adapter" => "redis", "url" => ARGV[0] }

receive = ->(message) { puts JSON.generate(["received", message]) }
server.pubsub.subscribe("/sse/test", receive, -> { puts "subscribed" })
while (text = $stdin.gets&.chomp)
  puts JSON.generate(["broadcast", server.broadcast("/sse/test", { text: text })])
end
server.pubsub.unsubscribe("/sse/test", receive)
server.pubsub.shutdown
