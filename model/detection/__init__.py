"""Where the enrolled objects are in a scene, and which they are: keypoints localise, the network's heads tell look-alikes apart."""
