# Broadcasts as a Rails application does, with Action Cable's Redis adapter, and
# prints what broadcast returns: broadcast.rb URL PREFIX CHANNEL...
require "logger"
require "active_support/all"
require "action_cable"

url, prefix, *channels = ARGV
cable = { adapter: "redis", url: url }.with_indifferent_access
cable[:channel_prefix] = prefix unless prefix.empty?
ActionCable.server.config.cable = cable
ActionCable.server.config.logger = Logger.new(nil)

channels.each do |channel|
  puts ActionCable.server.pubsub.broadcast(channel, { foo: "bar" }.to_json)
  ActionCable.server.broadcast(channel, { "größe" => "世界", "lines" => "a\nb" })
  ActionCable.server.broadcast(channel, "<turbo-stream>")
end
